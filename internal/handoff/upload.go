package handoff

import "time"

// Upload is a file whose last request was sent. While no answer proves that it
// is stored, or that it is not, the file counts as unknown: it is then settled,
// or written again under the same key, so that it never exists twice. Exporters
// fill in Key, ID, ETags and Size; the engine the rest.
type Upload struct {
	Key   string   `json:"key"`            // of the file
	ID    string   `json:"id,omitzero"`    // of the multipart upload, "" for a single request
	ETags []string `json:"etags,omitzero"` // of its parts, in order; none where they are too many to keep
	Size  int64    `json:"size"`           // in bytes

	From    Offset    `json:"from"`          // the position of the cursor at the time
	To      Offset    `json:"to"`            // the position behind the file
	Next    time.Time `json:"next,omitzero"` // when the next file is started, zero for at once
	Created time.Time `json:"created"`       // when the file was started
	Until   time.Time `json:"until"`         // how long the store may take to carry the request out
}
