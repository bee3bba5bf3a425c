// supervisor_journal.go keeps what must outlive a server, in blocks of a mapped file that are written in place: their number follows that of the services, and never the number of changes.

//go:build !windows

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
)

// journal is the file of the state: a memfd that the keeper holds, or a file beside the socket. It is void after a restart of the machine, so nothing is
// synced. The file is allocated before it is mapped, so that a full disk is seen when it grows and never when a block is written again.
//
// A block has a head that is written once: its kind and its size, a power of two. A block of unitBlock holds two copies of a record, and the older one is
// overwritten: a kill in the middle leaves the other. A block of textBlock is written once and counts when a record names its place.
type journal struct {
	fd   int
	data []byte // the mapped file
	end  int    // behind the last block
	seq  uint64 // of the newest copy
	free map[blockClass][]int
}

type blockKind byte

const (
	unitBlock blockKind = 'u'
	textBlock blockKind = 't'
)

// blockClass is what a block can be used for again.
type blockClass struct {
	kind blockKind
	log2 byte
}

const (
	journalMagic = "zinit-state 2\n\x00\x00"
	journalHead  = 32       // the magic, and the size that the file has at least
	journalFirst = 64 << 10 // bytes of a new file; it doubles when it is full
	blockHead    = 8        // sum of what follows, kind, log2 of the size, 2 bytes of 0
	copyHead     = 16       // sum of what follows and of the payload, its length, sequence number
	smallBlock   = 9        // log2 of the least size
	largeBlock   = 26
)

// errDamaged says that a state is not what this version writes. Whoever reads one ends what it describes and starts anew.
var errDamaged = errors.New("the saved state is damaged, or of another version than " + version)

// openJournal maps the state in the file fd. A file that is empty is made ready; one that is no state is an error.
func openJournal(fd int) (*journal, error) {
	size, err := sysFileSize(fd)
	if err != nil {
		return nil, err
	}
	j := &journal{fd: fd, end: journalHead, free: map[blockClass][]int{}}
	if size == 0 {
		if err := j.grow(journalFirst); err != nil {
			return nil, err
		}
		return j, nil
	}
	if j.data, err = sysMap(fd, size); err != nil {
		return nil, err
	}
	if err := j.findBlocks(); err != nil {
		j.close()
		return nil, err
	}
	return j, nil
}

// copyJournal reads the state in the file fd into memory: it may be read, not written.
func copyJournal(fd int) (*journal, error) {
	data, err := sysReadAll(fd)
	if err != nil {
		return nil, err
	}
	j := &journal{fd: -1, data: data, end: journalHead}
	return j, j.findBlocks()
}

// findBlocks goes through the blocks of a state that was read.
func (j *journal) findBlocks() error {
	if len(j.data) < journalHead || !bytes.HasPrefix(j.data, []byte(journalMagic)) || binary.LittleEndian.Uint64(j.data[len(journalMagic):]) > uint64(len(j.data)) {
		return errDamaged
	}
	for _, ok := j.class(j.end); ok; _, ok = j.class(j.end) {
		for i := range j.copies(j.end) {
			if _, seq, ok := j.read(j.end, i); ok {
				j.seq = max(j.seq, seq)
			}
		}
		j.end += j.size(j.end)
	}
	return nil
}

// clear empties the state.
func (j *journal) clear() {
	clear(j.data)
	j.writeHead()
	j.end, j.free = journalHead, map[blockClass][]int{}
}

func (j *journal) writeHead() {
	copy(j.data, journalMagic)
	binary.LittleEndian.PutUint64(j.data[len(journalMagic):], uint64(len(j.data)))
}

// rest gives the memory of the map back; the file keeps what is in it, and a record that is needed again is mapped again.
func (j *journal) rest() { sysForget(j.data) }

func (j *journal) close() {
	sysUnmap(j.data)
	j.data = nil
}

// grow enlarges the file, writes zeros so that its space is there, and maps all of it.
func (j *journal) grow(size int) error {
	for at := len(j.data); at < size; at += journalFirst {
		if err := sysPwrite(j.fd, make([]byte, min(journalFirst, size-at)), int64(at)); err != nil {
			return err
		}
	}
	data, err := sysMap(j.fd, size)
	if err != nil {
		return err
	}
	sysUnmap(j.data)
	j.data = data
	j.writeHead()
	return nil
}

// class reads the head of the block at a place; false where there is none.
func (j *journal) class(at int) (blockClass, bool) {
	if at+blockHead > len(j.data) {
		return blockClass{}, false
	}
	head := j.data[at : at+blockHead]
	c := blockClass{blockKind(head[4]), head[5]}
	ok := binary.LittleEndian.Uint32(head) == crc32.ChecksumIEEE(head[4:]) && c.log2 >= smallBlock && c.log2 <= largeBlock && at+1<<c.log2 <= len(j.data)
	return c, ok && (c.kind == unitBlock || c.kind == textBlock)
}

func (j *journal) size(at int) int { return 1 << j.data[at+5] }

func (j *journal) copies(at int) int {
	if blockKind(j.data[at+4]) == unitBlock {
		return 2
	}
	return 1
}

// room is where copy i of a block is.
func (j *journal) room(at, i int) []byte {
	n := (j.size(at) - blockHead) / j.copies(at)
	from := at + blockHead + i*n
	return j.data[from : from+n]
}

// read returns the payload of copy i of a block where it is whole. It lies in the map: use it at once.
func (j *journal) read(at, i int) (payload []byte, seq uint64, ok bool) {
	b := j.room(at, i)
	n := int(binary.LittleEndian.Uint32(b[4:]))
	if n > len(b)-copyHead || binary.LittleEndian.Uint32(b) != crc32.ChecksumIEEE(b[4:copyHead+n]) {
		return nil, 0, false
	}
	return b[copyHead : copyHead+n], binary.LittleEndian.Uint64(b[8:]), true
}

// newest returns the newest copy that is whole; false where there is none.
func (j *journal) newest(at int) (payload []byte, seq uint64, ok bool) {
	for i := range j.copies(at) {
		if p, s, whole := j.read(at, i); whole && (!ok || s > seq) {
			payload, seq, ok = p, s, true
		}
	}
	return payload, seq, ok
}

// alloc finds a block for a payload, or makes one.
func (j *journal) alloc(kind blockKind, payload int) (at int, err error) {
	need := payload + copyHead
	if kind == unitBlock {
		need *= 2
	}
	c := blockClass{kind, byte(max(smallBlock, bits.Len(uint(need+blockHead-1))))}
	if kind == unitBlock {
		c.log2 = max(c.log2, smallBlock+1)
	}
	if c.log2 > largeBlock {
		return 0, fmt.Errorf("%d bytes are too many for one record of the state", payload)
	}
	if list := j.free[c]; len(list) > 0 {
		j.free[c] = list[:len(list)-1]
		return list[len(list)-1], nil
	}
	at = j.end
	if at+1<<c.log2 > len(j.data) {
		if err := j.grow(1 << bits.Len(uint(max(at+1<<c.log2, 2*len(j.data))-1))); err != nil {
			return 0, err
		}
	}
	head := j.data[at : at+blockHead]
	head[4], head[5], head[6], head[7] = byte(c.kind), c.log2, 0, 0
	binary.LittleEndian.PutUint32(head, crc32.ChecksumIEEE(head[4:]))
	j.end += 1 << c.log2
	return at, nil
}

// release lets a block be used again. A unit's block says so in the file; a text's is forgotten when no record names it.
func (j *journal) release(at int) {
	if at == 0 {
		return
	}
	if j.copies(at) == 2 {
		j.overwrite(at, nil)
	}
	c, _ := j.class(at)
	j.free[c] = append(j.free[c], at)
}

// put writes a record: over the older copy in the block at, or where it does not fit any more (or at is 0) in another block. It returns the block.
func (j *journal) put(at int, kind blockKind, payload []byte) (int, error) {
	if at != 0 && copyHead+len(payload) <= len(j.room(at, 0)) {
		j.overwrite(at, payload)
		return at, nil
	}
	now, err := j.alloc(kind, len(payload))
	if err != nil {
		return at, err
	}
	j.overwrite(now, payload)
	j.release(at) // only now: a reader that finds both takes the newer
	return now, nil
}

func (j *journal) overwrite(at int, payload []byte) {
	oldest, least := 0, ^uint64(0)
	for i := range j.copies(at) {
		_, seq, ok := j.read(at, i)
		if !ok {
			seq = 0
		}
		if seq < least {
			oldest, least = i, seq
		}
	}
	j.seq++
	b := j.room(at, oldest)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(payload)))
	binary.LittleEndian.PutUint64(b[8:], j.seq)
	copy(b[copyHead:], payload)
	binary.LittleEndian.PutUint32(b, crc32.ChecksumIEEE(b[4:copyHead+len(payload)]))
}

// savedCopy is the newest copy of a record, and its block.
type savedCopy struct {
	at      int
	seq     uint64
	payload []byte // it lies in the map: use it at once
}

// records are all that count.
func (j *journal) records() (all []savedCopy) {
	for at := journalHead; at < j.end; at += j.size(at) {
		if j.copies(at) != 2 {
			continue
		}
		if payload, seq, ok := j.newest(at); ok && len(payload) > 0 {
			all = append(all, savedCopy{at, seq, payload})
		}
	}
	return all
}

// text returns what is written once in the block at a place that a record names.
func (j *journal) text(at int) ([]byte, error) {
	c, ok := j.class(at)
	if at < journalHead || at >= j.end || !ok || c.kind != textBlock {
		return nil, errDamaged
	}
	payload, _, ok := j.read(at, 0)
	if !ok {
		return nil, errDamaged
	}
	return payload, nil
}

// sweep lets every block be used again that is not in use.
func (j *journal) sweep(used map[int]bool) {
	for at := journalHead; at < j.end; at += j.size(at) {
		if !used[at] {
			j.release(at)
		}
	}
}
