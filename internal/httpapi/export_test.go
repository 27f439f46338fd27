package httpapi

import "slices"

// RoutesForTest lists the routes as "METHOD path scope".
func RoutesForTest(d Deps) []string {
	a := &api{Deps: d}
	var list []string
	for _, rt := range a.routes() {
		line := rt.method + " " + rt.path
		if rt.scope != "" {
			line += " " + rt.scope
		}
		list = append(list, line)
	}
	slices.Sort(list)
	return list
}
