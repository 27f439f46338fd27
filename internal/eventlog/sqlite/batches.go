package sqlite

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// A row of arrivals has, in this order:
//
//	bytes    the segments, one behind the other
//	byte     directoryVersion
//	then for each segment, in the same order:
//	  uvarint  id of its row in segments
//	  varint   first_ms
//	  uvarint  last_ms - first_ms
//	  uvarint  events
//	  uvarint  before
//	  uvarint  appended_bytes
//	  uvarint  its length
//	uint32   length of the directory: what is after the segments and before this, little endian
//	uint32   CRC-32C of the directory and its length, little endian
//
// The checksums of the segments are their own. The directory has one as its numbers decide
// where events go.
const directoryVersion = 1

const (
	directoryEnd   = 8  // bytes after the directory
	directoryEntry = 24 // of a typical segment
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendDirectory appends the directory of the given segments to their bytes.
func appendDirectory(dst []byte, list []arrival) []byte {
	start := len(dst)
	dst = append(dst, directoryVersion)
	for i := range list {
		a := &list[i]
		dst = binary.AppendUvarint(dst, uint64(a.row))
		dst = binary.AppendVarint(dst, a.firstMs)
		for _, n := range [...]int64{a.lastMs - a.firstMs, int64(a.events), a.before, a.appended, int64(a.size)} {
			dst = binary.AppendUvarint(dst, uint64(n))
		}
	}
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(dst)-start))
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

var errDirectory = errors.New("its directory is damaged")

// parseBatch returns the segments of a row of arrivals, whose data alias the given bytes.
func parseBatch(data []byte) (list []arrival, err error) {
	if len(data) < directoryEnd {
		return nil, errDirectory
	}
	end := len(data) - directoryEnd
	size := binary.LittleEndian.Uint32(data[end:])
	if size == 0 || uint64(size) > uint64(end) {
		return nil, errDirectory
	}
	segments, rest := data[:end-int(size)], data[end-int(size):end]
	if crc32.Checksum(data[len(segments):end+4], castagnoli) != binary.LittleEndian.Uint32(data[end+4:]) || rest[0] != directoryVersion {
		return nil, errDirectory
	}
	for rest = rest[1:]; len(rest) > 0; {
		var a arrival
		if rest = a.parse(rest); rest == nil || a.size > len(segments) {
			return nil, errDirectory
		}
		a.data, segments = segments[:a.size:a.size], segments[a.size:]
		list = append(list, a)
	}
	if len(segments) > 0 {
		return nil, errDirectory
	}
	return list, nil
}

// parse reads the entry at the start of a directory, and returns the rest; nil if there is
// no whole one.
func (a *arrival) parse(rest []byte) []byte {
	var n [7]int64
	for i := range n {
		v, length := binary.Uvarint(rest)
		if i == 1 {
			n[i], length = binary.Varint(rest)
		} else {
			n[i] = int64(v)
		}
		if length <= 0 || i > 1 && n[i] < 0 {
			return nil
		}
		rest = rest[length:]
	}
	a.row, a.firstMs, a.lastMs, a.events, a.before, a.appended, a.size = n[0], n[1], n[1]+n[2], int(n[3]), n[4], n[5], int(n[6])
	return rest
}
