package oplog

import (
	"encoding/binary"
	"errors"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/poly1305" //nolint:staticcheck // the tag alone, for which chacha20poly1305 has no way
)

// Form is how a batch is spelled between two nodes. Journals have the plain one only.
type Form byte

// Forms. A receiver says which it reads; a sender need not use them.
const (
	FormPlain  Form = 0
	FormPacked Form = 1 // headers in columns, compressed
	FormBare   Form = 2 // packed, and without the tags of register payloads: for who has the keys
)

const packedMagic = "WPB\x02"

// packedTags is the flag that tags were left out.
const packedTags = 1

var (
	columnPacker = sync.OnceValue(func() *zstd.Encoder {
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false), zstd.WithEncoderConcurrency(2), zstd.WithWindowSize(64<<10))
		if err != nil {
			panic(err) // constant options: seen by the first test or never
		}
		return enc
	})
	columnUnpacker = sync.OnceValue(func() *zstd.Decoder {
		dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(MaxBatchBytes), zstd.WithDecoderMaxWindow(MaxBatchBytes), zstd.WithDecoderLowmem(true))
		if err != nil {
			panic(err)
		}
		return dec
	})
)

// RangeIn is Range in another spelling; see Form. What it gives is at most as long as
// what Range gives.
func (l *Log) RangeIn(form Form, log LogID, after uint64, maxOps, maxBytes int) (raw []byte, last uint64, err error) {
	b, size, last, err := l.gather(log, after, maxOps, maxBytes)
	if err != nil || b == nil {
		return nil, last, err
	}
	if form == FormPlain {
		return b.encode(make([]byte, 0, size)), last, nil
	}
	return b.pack(make([]byte, 0, size), form == FormBare), last, nil
}

// Opens reports whether payloads of the register can be opened here, so that FormBare may
// be asked for.
func (l *Log) Opens() bool {
	area, epoch := l.auth.CurrentEpoch(Register)
	_, ok := l.auth.CompartmentKey(Register, area, epoch)
	return ok
}

// tagged reports whether an op's payload ends with a tag that follows from the rest of it.
func (r *record) tagged() bool {
	return r.comp == Register && !r.bare && len(r.payload) >= poly1305.TagSize
}

// pack is encode in columns. doc.go has the bytes.
func (b *batch) pack(dst []byte, bare bool) []byte {
	bare = bare && !slices.ContainsFunc(b.ops, func(r record) bool { return r.comp == Register && !r.bare && !r.tagged() })
	dst = append(dst, packedMagic...)
	dst = append(dst, b.log[:]...)
	dst = binary.AppendUvarint(dst, b.first)
	dst = append(dst, b.prev[:]...)
	dst = binary.AppendUvarint(dst, uint64(len(b.ops)))
	cut := 0
	if bare {
		dst, cut = append(dst, packedTags), poly1305.TagSize
	} else {
		dst = append(dst, 0)
	}
	columns := make([]byte, 0, 6*len(b.ops))
	var low, high, steps, rest, one []byte
	before := record{}
	for i := range b.ops {
		r := &b.ops[i]
		one = r.encode(one[:0], &before)
		salt := before.salt
		if before = *r; r.bare {
			before.salt = salt
		}
		flags := one[0]
		c := &cursor{one[1:], true}
		step := len(c.b)
		c.uvarint(maxClock)
		steps = append(steps, one[1:1+step-len(c.b)]...)
		c.take(len(r.subject))
		fields := c.b
		if flags&flagBare == 0 {
			n := len(r.payload)
			if bare && r.tagged() {
				n -= cut
			}
			low, high = append(low, byte(n)), binary.AppendUvarint(high, uint64(n>>8))
			fields = fields[:len(fields)-len(r.payload)-uvarintLen(uint64(len(r.payload)))]
		}
		columns, rest = append(columns, flags), append(rest, fields...)
	}
	for _, c := range [][]byte{low, high, steps, rest} {
		columns = append(columns, c...)
	}
	packed := columnPacker().EncodeAll(columns, make([]byte, 0, len(columns)/2+64))
	dst = binary.AppendUvarint(dst, uint64(len(packed)))
	dst = append(dst, packed...)
	for i := range b.ops {
		dst = append(dst, b.ops[i].subject[:]...)
	}
	for i := range b.ops {
		p := b.ops[i].payload
		if bare && b.ops[i].tagged() {
			p = p[:len(p)-cut]
		}
		dst = append(dst, p...)
	}
	return append(dst, b.sig[:]...)
}

func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

// ErrNeedsTags is why a batch was refused that came without tags, where the key to make
// them again is not here, or those made are not what was signed: ask for another Form.
var ErrNeedsTags = errors.New("a batch came without tags, and they cannot be made here")

// readBatch reads one batch in any spelling. errNoKey when tags were left out that cannot
// be made again here.
func (l *Log) readBatch(raw []byte) (b *batch, packed bool, err error) {
	if len(raw) < len(packedMagic) || string(raw[:len(packedMagic)]) != packedMagic {
		b, err = parseBatch(raw)
		return b, false, err
	}
	b, err = l.unpackBatch(raw)
	return b, true, err
}

// unpackBatch reads a packed batch, and makes the tags again. What it gives is what
// parseBatch gives of the plain spelling, without the detour over those bytes: a receiver
// that allocates less collects less.
func (l *Log) unpackBatch(raw []byte) (*batch, error) {
	if len(raw) > MaxBatchBytes {
		return nil, errBatch
	}
	c := &cursor{raw[len(packedMagic):], true}
	b := &batch{}
	copy(b.log[:], c.take(len(b.log)))
	b.first = c.uvarint(maxClock)
	copy(b.prev[:], c.take(len(b.prev)))
	n := c.uvarint(MaxBatchOps)
	flags := c.byte()
	packed := c.take(int(c.uvarint(MaxBatchBytes))) //nolint:gosec // at most 1 MB
	if !c.ok || n == 0 || flags&^packedTags != 0 || n*uint64(len(ID{})) > uint64(len(c.b)) || b.first == 0 || (b.first == 1) != (b.prev == [32]byte{}) {
		return nil, errBatch
	}
	columns, err := columnUnpacker().DecodeAll(packed, make([]byte, 0, 6*n))
	if err != nil || len(columns) > MaxBatchBytes {
		return nil, errBatch
	}
	b.ops = make([]record, n)
	size, ok := b.readColumns(columns, c, flags&packedTags != 0)
	if !ok || size > MaxBatchBytes {
		return nil, errBatch
	}
	if flags&packedTags != 0 {
		if err := l.retag(b); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// readColumns fills the ops from the columns and from what follows them: subjects,
// payloads and the signature. Payloads point into c. size is how long the batch is plain,
// its tags included, and at least that.
func (b *batch) readColumns(columns []byte, c *cursor, tagless bool) (size int, ok bool) {
	n := len(b.ops)
	k := &cursor{columns, true}
	flags := k.take(n)
	held := 0
	for _, f := range flags {
		if f&^byte(flagsKnown) != 0 {
			return 0, false
		}
		if f&flagBare == 0 {
			held++
		}
	}
	low := k.take(held)
	high := make([]uint16, held)
	for i := range high {
		high[i] = uint16(k.uvarint(maxSealed >> 8)) //nolint:gosec // at most 256
	}
	before := &record{}
	subjects := c.take(n * len(ID{}))
	if !k.ok || !c.ok {
		return 0, false
	}
	steps := make([]uint64, n)
	for i := range steps {
		steps[i] = k.uvarint(maxClock)
		size += uvarintLen(steps[i])
	}
	size += 160 + 12*n + len(k.b)
	at := 0
	for i := range b.ops {
		r := &b.ops[i]
		r.ref = Ref{Log: b.log, Seq: b.first + uint64(i)}
		r.clock = before.clock + steps[i]
		copy(r.subject[:], subjects[i*len(ID{}):])
		r.readFields(k, flags[i], before)
		if r.bare = flags[i]&flagBare != 0; r.bare {
			copy(r.digest[:], k.take(len(r.digest)))
		} else {
			length := int(high[at])<<8 | int(low[at])
			r.payload = c.take(length)
			at++
			if tagless && r.comp == Register {
				length += poly1305.TagSize
			}
			size += uvarintLen(uint64(length)) + length //nolint:gosec // a few bytes more than 64 KB
			k.ok = k.ok && length <= maxSealed
		}
		if !k.ok || !c.ok || !r.sound(flags[i], steps[i]) {
			return 0, false
		}
		before = r
	}
	copy(b.sig[:], c.take(len(b.sig)))
	return size, k.ok && c.ok && len(k.b) == 0 && len(c.b) == 0
}

// readFields reads what flags say follows an op's subject, but for the payload.
func (r *record) readFields(c *cursor, flags byte, before *record) {
	r.comp, r.area, r.epoch, r.salt = before.comp, before.area, before.epoch, before.salt
	if flags&flagEpoch != 0 {
		r.comp = Compartment(c.byte())
		r.area = uint16(c.uvarint(1<<16 - 1))
		r.epoch = uint32(c.uvarint(1<<32 - 1))
	}
	if flags&flagSalt != 0 {
		copy(r.salt[:], c.take(len(r.salt)))
	}
	if flags&flagSupersedes != 0 {
		n := int(c.byte())
		if n == 0 || n > len(c.b) {
			c.ok = false
			return
		}
		r.supersedes = make([]Ref, n)
		for i := range r.supersedes {
			r.supersedes[i] = takeSupersedes(c, r.ref)
		}
	}
}

// retag makes the tags again that were left out. Whether they are those that were signed
// is seen by the chain. On the way it looks how long each payload says it is.
func (l *Log) retag(b *batch) error {
	size := 0
	for i := range b.ops {
		size += len(b.ops[i].payload) + poly1305.TagSize
	}
	all := make([]byte, 0, size)
	var bound []byte
	var sub subkey
	home := l.auth.Deployment()
	for i := range b.ops {
		r := &b.ops[i]
		if r.comp != Register || r.bare {
			continue
		}
		if err := sub.of(l.auth, r); err != nil {
			return err
		}
		bound = append(append(bound[:0], boundLabel...), home[:]...)
		bound = r.appendHead(bound)
		tag, start, err := sub.tag(r.ref.Seq, bound, r.payload)
		if err != nil {
			return err
		}
		b.swells = b.swells || swollen(start[:min(len(start), len(r.payload))], len(r.payload)) != nil
		from := len(all)
		all = append(append(all, r.payload...), tag[:]...)
		r.payload = all[from:len(all):len(all)]
	}
	b.peeked = true
	return nil
}

// subkey is the key that XChaCha20 makes of a key and the salt, which is the first 16 bytes
// of the nonce: all ops of a segment share it, and only the sequence differs.
type subkey struct {
	known bool
	comp  Compartment
	area  uint16
	epoch uint32
	salt  [16]byte
	key   []byte
}

func (s *subkey) of(a Authority, r *record) error {
	if s.known && s.comp == r.comp && s.area == r.area && s.epoch == r.epoch && s.salt == r.salt {
		return nil
	}
	key, ok := a.CompartmentKey(r.comp, r.area, r.epoch)
	if !ok {
		return errNoKey
	}
	sub, err := chacha20.HChaCha20(key[:], r.salt[:])
	*s = subkey{true, r.comp, r.area, r.epoch, r.salt, sub}
	return err
}

// startSize is how much of a payload is decrypted to see how long it says it is.
const startSize = 16

// tag is what XChaCha20-Poly1305 puts behind a ciphertext (RFC 8439 section 2.8); start is what
// the ciphertext begins with, decrypted.
func (s *subkey) tag(seq uint64, bound, sealed []byte) (tag [poly1305.TagSize]byte, start [startSize]byte, err error) {
	var nonce [chacha20.NonceSize]byte
	binary.BigEndian.PutUint64(nonce[4:], seq)
	stream, err := chacha20.NewUnauthenticatedCipher(s.key, nonce[:])
	if err != nil {
		return tag, start, err
	}
	var block [64]byte
	stream.XORKeyStream(block[:], block[:])
	n := copy(start[:], sealed)
	stream.XORKeyStream(start[:n], start[:n])
	once := [32]byte(block[:])
	mac := poly1305.New(&once)
	var zero [16]byte
	for _, part := range [][]byte{bound, sealed} {
		_, _ = mac.Write(part)
		if over := len(part) % 16; over > 0 {
			_, _ = mac.Write(zero[over:])
		}
	}
	var sizes [16]byte
	binary.LittleEndian.PutUint64(sizes[:], uint64(len(bound)))
	binary.LittleEndian.PutUint64(sizes[8:], uint64(len(sealed)))
	_, _ = mac.Write(sizes[:])
	mac.Sum(tag[:0])
	return tag, start, nil
}
