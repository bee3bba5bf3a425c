// logs_ring.go keeps the newest lines of one service in a buffer of bounded size; it knows nothing of pipes and files.

//go:build !windows

package main

import (
	"bytes"
	"encoding/binary"
)

const (
	ringMax    = 4 << 20 // bytes of one ring, whatever buffer_lines says
	ringRecord = 8 << 10 // a batch is stored in records of about this size, the unit that is forgotten
)

// lineRing holds the newest lines of one service as they came, in records of consecutive lines of one stream.
// It grows as needed up to ringMax and keeps at least limit lines if they fit.
type lineRing struct {
	buf        []byte // circular
	head, used int
	lines      int // lines in it, may be more than limit by one record
	limit      int
}

// record is the head of a stored record; size bytes of text follow, n lines that each end in a newline.
type record struct {
	seq    uint64 // of the first line
	ms     int64
	size   uint32
	n      uint32
	stream uint8
}

const recordHead = 25

// whole is the size of the record with its head.
func (r record) whole() int { return recordHead + int(r.size) }

func (r record) head() []byte {
	b := make([]byte, 0, recordHead)
	b = binary.LittleEndian.AppendUint64(b, r.seq)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.ms))
	b = binary.LittleEndian.AppendUint32(b, r.size)
	b = binary.LittleEndian.AppendUint32(b, r.n)
	return append(b, r.stream)
}

func getRecord(b []byte) record {
	return record{
		seq: binary.LittleEndian.Uint64(b), ms: int64(binary.LittleEndian.Uint64(b[8:])),
		size: binary.LittleEndian.Uint32(b[16:]), n: binary.LittleEndian.Uint32(b[20:]), stream: b[24],
	}
}

// at copies the bytes from offset pos (counted from the buffer's start, wrapping) into b.
func (r *lineRing) at(pos int, b []byte) {
	n := copy(b, r.buf[pos%len(r.buf):])
	copy(b[n:], r.buf)
}

func (r *lineRing) store(b []byte) {
	end := (r.head + r.used) % len(r.buf)
	n := copy(r.buf[end:], b)
	copy(r.buf, b[n:])
	r.used += len(b)
}

func (r *lineRing) recordAt(pos int) record {
	var head [recordHead]byte
	r.at(pos, head[:])
	return getRecord(head[:])
}

// push adds n complete lines; seq is the first one's.
func (r *lineRing) push(stream uint8, seq uint64, ms int64, data []byte, n int) {
	if r.limit <= 0 {
		return
	}
	if n > r.limit {
		data = newestLines(data, r.limit)
		seq += uint64(n - r.limit)
	}
	for len(data) > 0 {
		end := len(data)
		if end > ringRecord {
			if end = bytes.LastIndexByte(data[:ringRecord], '\n') + 1; end == 0 {
				end = ringRecord + bytes.IndexByte(data[ringRecord:], '\n') + 1
			}
		}
		lines := bytes.Count(data[:end], newline)
		r.makeRoom(recordHead+end, lines)
		r.store(record{seq: seq, ms: ms, size: uint32(end), n: uint32(lines), stream: stream}.head())
		r.store(data[:end])
		r.lines += lines
		seq += uint64(lines)
		data = data[end:]
	}
}

// makeRoom finds place for a record of n lines: first what is surplus goes, then the buffer grows, then the oldest go.
func (r *lineRing) makeRoom(need, n int) {
	for r.used+need > len(r.buf) {
		if r.used > 0 {
			old := r.recordAt(r.head)
			if r.lines-int(old.n)+n >= r.limit || len(r.buf) >= ringMax {
				r.head = (r.head + old.whole()) % len(r.buf)
				r.used -= old.whole()
				r.lines -= int(old.n)
				continue
			}
		}
		grown := make([]byte, min(max(2*len(r.buf), r.used+need, 512), ringMax))
		if r.used > 0 {
			r.at(r.head, grown[:r.used])
		}
		r.buf, r.head = grown, 0
	}
}

// newest copies the records of the newest k lines out; skip of the first one's lines are not wanted. Reading them needs no lock any more.
func (r *lineRing) newest(k int) (raw []byte, skip int) {
	k = min(k, r.limit, r.lines)
	if k <= 0 {
		return nil, 0
	}
	pos, left, bytesLeft := r.head, r.lines, r.used
	for {
		rec := r.recordAt(pos)
		if left-int(rec.n) < k {
			break
		}
		left -= int(rec.n)
		pos += rec.whole()
		bytesLeft -= rec.whole()
	}
	raw = make([]byte, bytesLeft)
	r.at(pos, raw)
	return raw, left - k
}

// eachLine calls f for the lines that newest returned.
func eachLine(raw []byte, skip int, f func(rec record, seq uint64, text []byte)) {
	for len(raw) > 0 {
		rec := getRecord(raw)
		seq := rec.seq
		for line := range bytes.Lines(raw[recordHead:rec.whole()]) {
			if skip > 0 {
				skip--
			} else {
				f(rec, seq, line[:len(line)-1])
			}
			seq++
		}
		raw = raw[rec.whole():]
	}
}

var newline = []byte{'\n'}

// newestLines returns the last n lines of data, which ends in a newline and has more of them.
// bytes.Count is much faster than a look for each line, so whole blocks are counted first.
func newestLines(data []byte, n int) []byte {
	const block = 4 << 10
	start := len(data)
	for n > 0 {
		from := max(start-block, 0)
		c := bytes.Count(data[from:start], newline)
		if c > n {
			// The lines wanted begin after the (c-n)th newline of this block.
			for ; c > n; c-- {
				from += bytes.IndexByte(data[from:], '\n') + 1
			}
			return data[from:]
		}
		n -= c
		start = from
	}
	// The newline that ends the line before them stands further ahead.
	return data[bytes.LastIndexByte(data[:start], '\n')+1:]
}
