package sqlite

// TrimQueries are the queries that TrimHistories makes per history, and the one
// that reads entries.
func TrimQueries() []string {
	queries := []string{cutQuery, cutDelete, entriesQuery}
	for _, p := range parts {
		queries = append(queries, p.next, p.clear)
	}
	return queries
}

// TroubledQuery is the query of Troubled.
const TroubledQuery = troubledQuery
