package oplog

import (
	"reflect"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/waypost/waypost/appliance/fault"
)

// Kind ties a wire name and a version to one Go type. Bodies are deterministic
// CBOR of that type (RFC 8949 section 4.2.1, through `cbor:"1,keyasint"` tags),
// so a version must change when the meaning of a field does; adding an optional
// field does not need a new one.
type Kind struct {
	name    string
	version uint
	comp    Compartment
	bound   bool
	typ     reflect.Type
	decode  func([]byte) (any, error)
}

// NewKind declares a fact: name in the past tense with its desk in front
// ("registration.registered"), version from 1, and who may read it.
func NewKind[T any](name string, version uint, c Compartment) Kind {
	return Kind{
		name: name, version: version, comp: c, typ: reflect.TypeFor[T](),
		decode: func(b []byte) (any, error) {
			v := new(T)
			return v, decMode.Unmarshal(b, v)
		},
	}
}

// Bound is the kind as one that rests on who wrote it: in whose log it lies says whether it
// counts, or for whom. No witness can write it again in its own (Log.Testify).
func (k Kind) Bound() Kind {
	k.bound = true
	return k
}

// Name is the name on the wire.
func (k Kind) Name() string { return k.name }

// Version is the version on the wire.
func (k Kind) Version() uint { return k.version }

// Compartment is who may read its payload.
func (k Kind) Compartment() Compartment { return k.comp }

// Is reports whether op is of this kind and version.
func (k Kind) Is(op Op) bool { return op.Kind == k.name && op.Version == k.version }

func (k Kind) id() kindID { return kindID{k.name, k.version} }

// kindID is what a payload says about its type.
type kindID struct {
	name    string
	version uint
}

// encode checks that body is the kind's type, or a pointer to it, and makes CBOR.
func (k Kind) encode(body any) ([]byte, error) {
	v := reflect.ValueOf(body)
	if v.Kind() == reflect.Pointer && !v.IsNil() && v.Type() != k.typ {
		v = v.Elem()
	}
	if !v.IsValid() || v.Type() != k.typ {
		return nil, errInternal("kind " + k.name + " was given another type")
	}
	b, err := encMode.Marshal(v.Interface())
	if err != nil {
		return nil, fault.New(fault.Internal, "fault.oplog.internal").Wrap(err)
	}
	return b, nil
}

// Op is one fact as desks see it: opened, decoded, of a kind this node knows.
type Op struct {
	Ref
	Clock      uint64    // logical clock; larger than every op its writer had seen
	Subject    ID        // whom or what it is about
	Supersedes []Ref     // the ops it takes the place of
	Kind       string    // wire name
	Version    uint      // wire version
	By         By        // who
	At         time.Time // wall time its writer claims; for display, never for order
	Unsure     bool      // that wall time came from a clock nobody had set
	Body       any       // *T of the kind; shared between folds, so never changed
}

// Body is op's body when it is a T, and nil otherwise.
func Body[T any](op Op) *T {
	v, _ := op.Body.(*T)
	return v
}

// Limits of the CBOR that may arrive from elsewhere: a body of 64 KB cannot
// nest deeply or hold long lists of nothing.
const (
	maxNesting  = 16
	maxElements = 8192
)

var (
	encMode = mustEncMode()
	decMode = mustDecMode(maxElements)
	keysDec = mustDecMode(1 << 20) // our own file: one entry a start and 64 MB
)

func mustEncMode() cbor.EncMode {
	o := cbor.CoreDetEncOptions()
	o.ByteArray = cbor.ByteArrayToByteSlice
	o.Time = cbor.TimeUnix
	m, err := o.EncMode()
	if err != nil {
		panic(err) // constant options: seen by the first test or never
	}
	return m
}

func mustDecMode(elements int) cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		MaxNestedLevels: maxNesting, MaxArrayElements: elements, MaxMapPairs: maxElements, UTF8: cbor.UTF8RejectInvalid,
	}.DecMode()
	if err != nil {
		panic(err) // constant options: seen by the first test or never
	}
	return m
}
