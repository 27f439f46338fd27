package handoff

import "time"

// Upload is a file whose last request was sent. Until a response proves that the
// file is stored, or that it is not, its outcome is unknown: the next attempt
// looks it up, completes it, or writes it again under the same key, so that no
// file exists twice. Exporters fill in Key, ID, ETags and Size; the engine fills
// in the rest.
type Upload struct {
	Key   string   `json:"key"`            // of the file
	ID    string   `json:"id,omitzero"`    // of the multipart upload, "" for a single request
	ETags []string `json:"etags,omitzero"` // of its parts, in order; none if there are too many to store
	Size  int64    `json:"size"`           // in bytes

	Tally   Tally     `json:"tally,omitzero"` // the cursor's after the file
	From    Offset    `json:"from"`           // the cursor's offset before the file
	To      Offset    `json:"to"`             // the cursor's offset after the file
	Next    time.Time `json:"next,omitzero"`  // when to start the next file, zero for at once
	Created time.Time `json:"created"`        // when the file was started
	Until   time.Time `json:"until"`          // when the bucket can no longer carry out the request
}

// GiveUpUpload makes the cursor's pending file, if any, one that is neither looked up nor
// written again. It may still appear.
func (c *Cursor) GiveUpUpload() {
	c.UploadUntil, c.Upload = c.FilesUntil(), nil
}

// FilesUntil returns when no file of the cursor's that is pending or was given up can appear
// any more; zero if there has been none.
func (c *Cursor) FilesUntil() time.Time {
	if c.Upload != nil && c.Upload.Until.After(c.UploadUntil) {
		return c.Upload.Until
	}
	return c.UploadUntil
}

// Overlaps reports whether the file has events of the given segment.
func (u *Upload) Overlaps(segment uint64) bool {
	return segment > u.From.Segment && (segment <= u.To.Segment || segment == u.To.Segment+1 && u.To.Index > 0)
}
