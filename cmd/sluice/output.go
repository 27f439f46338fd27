package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/sluicehq/sluice/internal/usertext"
)

// printJSON writes v as indented JSON. What could control the terminal is escaped.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(lineWriter{w}) // it makes one write
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// printTable writes rows in aligned columns.
func printTable(w io.Writer, rows [][]string) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = usertext.Escape(cell)
		}
		if _, err := fmt.Fprintln(tab, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return tab.Flush()
}

// lineWriter escapes what could control the terminal. Each write must be of whole lines;
// those of JSON mean the same as before.
type lineWriter struct{ io.Writer }

// Write implements io.Writer.
func (w lineWriter) Write(lines []byte) (int, error) {
	if _, err := w.Writer.Write(usertext.EscapeJSON(lines)); err != nil {
		return 0, err
	}
	return len(lines), nil
}
