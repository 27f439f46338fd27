package sqlite

// TrimQueries are those that TrimHistories asks for each history, and a read of
// the entries.
func TrimQueries() []string {
	queries := []string{cutQuery, cutDelete, entriesQuery}
	for _, p := range parts {
		queries = append(queries, p.next, p.clear)
	}
	return queries
}
