package oplog

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/klauspost/compress/dict"
	"github.com/klauspost/compress/zstd"
)

var updateDictionary = flag.Bool("update-dictionary", false,
	"train dictionary1.bin again; never after a release: its bytes are part of the format")

// samplePerson has the shape of a registered person: small integer keys, in the
// order of the contract. It is written out here, not imported, because the
// journal knows no desk.
type samplePerson struct {
	GivenName   string           `cbor:"1,keyasint,omitempty"`
	FamilyName  string           `cbor:"2,keyasint,omitempty"`
	OtherNames  string           `cbor:"3,keyasint,omitempty"`
	Sex         string           `cbor:"4,keyasint,omitempty"`
	BirthDate   string           `cbor:"5,keyasint,omitempty"`
	Age         int              `cbor:"6,keyasint,omitempty"`
	Precision   string           `cbor:"7,keyasint,omitempty"`
	Nationality string           `cbor:"8,keyasint,omitempty"`
	Languages   []string         `cbor:"9,keyasint,omitempty"`
	Phone       string           `cbor:"10,keyasint,omitempty"`
	Documents   []sampleDocument `cbor:"11,keyasint,omitempty"`
	FatherName  string           `cbor:"12,keyasint,omitempty"`
	MotherName  string           `cbor:"13,keyasint,omitempty"`
	Origin      string           `cbor:"14,keyasint,omitempty"`
	Destination string           `cbor:"15,keyasint,omitempty"`
	ArrivedAt   string           `cbor:"16,keyasint,omitempty"`
	Needs       []string         `cbor:"17,keyasint,omitempty"`
	Consent     []sampleConsent  `cbor:"18,keyasint,omitempty"`
	Notes       string           `cbor:"19,keyasint,omitempty"`
}

type sampleDocument struct {
	Type   string `cbor:"1,keyasint,omitempty"`
	Number string `cbor:"2,keyasint,omitempty"`
	Issuer string `cbor:"3,keyasint,omitempty"`
}

type sampleConsent struct {
	Purpose string `cbor:"1,keyasint,omitempty"`
	Given   bool   `cbor:"2,keyasint,omitempty"`
}

// sampleRegistered is a person in a household.
type sampleRegistered struct {
	Household ID           `cbor:"1,keyasint"`
	Relation  string       `cbor:"2,keyasint,omitempty"`
	Person    samplePerson `cbor:"3,keyasint"`
}

// sampleOrigin is a country with made-up people's names in its own script.
type sampleOrigin struct {
	code, phone, lang   string
	female, male, kin   []string
	places, documentsOf []string
}

func sampleOrigins() []sampleOrigin {
	docs := []string{"national_id", "passport", "birth_certificate"}
	return []sampleOrigin{
		{"SYR", "+963 9", "ar", words("فاطمة عائشة مريم زينب نور هالة رنا سلمى ليلى ياسمين"), words("محمد أحمد علي حسن عمر خالد يوسف إبراهيم سامر باسل"),
			words("الحسن العلي الأحمد خليل حداد درويش الخطيب شاهين منصور"), words("حلب حمص إدلب دمشق درعا الرقة"), docs},
		{"SDN", "+249 9", "ar", words("Amna Hawa Mariam Zahra Khadija Ikhlas Rania Salma"), words("Mohamed Ahmed Abdalla Osman Ibrahim Yasir Hassan Idris"),
			words("Abdelrahman Adam Elhaj Bashir Khamis Mustafa Eltayeb"), words("Khartoum Nyala Geneina Fasher Omdurman Zalingei"), docs},
		{"AFG", "+93 7", "fa", words("زهرا فاطمه مریم شکریه نرگس لیلا فرشته ثریا"), words("محمد احمد علی رضا کریم نجیب فرید حمید"),
			words("احمدی رحیمی حسینی نوری کریمی صافی امینی"), words("کابل هرات قندهار مزار بلخ غزنی"), docs},
		{"UKR", "+380 6", "uk", words("Олена Наталія Ірина Оксана Тетяна Марія Катерина Юлія"), words("Олександр Іван Андрій Микола Сергій Дмитро Петро Василь"),
			words("Шевченко Коваленко Бондаренко Ткаченко Кравченко Олійник Мельник"), words("Харків Маріуполь Херсон Київ Дніпро Суми"), docs},
		{"COD", "+243 8", "fr", words("Marie Espérance Jeanne Furaha Aline Neema Chantal Solange"), words("Jean Pierre Emmanuel Patrick Joseph Baraka Innocent Amani"),
			words("Mukendi Kabila Ilunga Kasongo Mbuyi Bahati Mutombo"), words("Goma Bukavu Kinshasa Bunia Uvira Beni"), docs},
		{"SOM", "+252 6", "so", words("Fadumo Hodan Amina Sahra Ifrah Khadra Nasra Ubah"), words("Abdi Mohamed Hassan Ali Farah Yusuf Ahmed Omar"),
			words("Warsame Abdullahi Hussein Jama Nur Aden Osman"), words("Mogadishu Baidoa Kismayo Hargeisa Garowe"), docs},
		{"VEN", "+58 41", "es", words("María Ana Carmen Luisa Rosa Gabriela Daniela Andrea"), words("José Luis Carlos Juan Pedro Miguel Ángel Jesús"),
			words("González Rodríguez Pérez Hernández García Martínez López Ramírez"), words("Caracas Maracaibo Valencia Mérida Barquisimeto"), docs},
		{"MMR", "+95 9", "my", words("Aye Khin Mya Thida Nilar Su Hnin Ei"), words("Aung Kyaw Min Zaw Htun Thant Win Ko"),
			words("Win Oo Htwe Lwin Naing Soe Maung Tun"), words("Sittwe Maungdaw Yangon Mandalay Myitkyina"), docs},
		{"ETH", "+251 9", "am", words("አስቴር ሰላም ሕይወት ማርታ ትዕግስት ብርቱካን"), words("አበበ ከበደ ተስፋዬ ሀይሌ ዮሐንስ ዳዊት"),
			words("ገብረ ወልደ ተክለ በቀለ ታደሰ አለሙ"), words("መቀሌ ጎንደር አዲስ ባሕርዳር ሁመራ"), docs},
		{"HTI", "+509 3", "ht", words("Marie Rose Nadège Guerline Mirlande Fabiola"), words("Jean Jacques Wilner Frantz Emmanuel Junior"),
			words("Pierre Joseph Louis Charles Baptiste Étienne Jean"), words("Jacmel Gonaïves Léogâne Cayes Jérémie"), docs},
	}
}

func words(s string) []string {
	var out []string
	for _, w := range bytes.Fields([]byte(s)) {
		out = append(out, string(w))
	}
	return out
}

// sampler draws made-up people from a seed.
type sampler struct{ *rand.Rand }

func (s sampler) of(list []string) string { return list[s.IntN(len(list))] }
func (s sampler) chance(p float64) bool   { return s.Float64() < p }
func (s sampler) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(s.IntN(256))
	}
	return b
}

func (s sampler) origin() sampleOrigin { return sampleOrigins()[s.IntN(len(sampleOrigins()))] }

func (s sampler) person(o sampleOrigin) samplePerson {
	p := samplePerson{Sex: "male", GivenName: s.of(o.male), FamilyName: s.of(o.kin), Nationality: o.code, Languages: []string{o.lang}, Origin: s.of(o.places)}
	if s.chance(.52) {
		p.Sex, p.GivenName = "female", s.of(o.female)
	}
	switch {
	case s.chance(.6):
		p.BirthDate, p.Precision = fmt.Sprintf("%d-%02d-%02d", 1935+s.IntN(91), 1+s.IntN(12), 1+s.IntN(28)), "day"
	case s.chance(.5):
		p.BirthDate, p.Precision = fmt.Sprintf("%d", 1935+s.IntN(91)), "year"
	default:
		p.Age, p.Precision = 1+s.IntN(85), "estimated"
	}
	if s.chance(.5) {
		p.Phone = fmt.Sprintf("%s%08d", o.phone, s.IntN(1e8))
	}
	if s.chance(.4) {
		p.Documents = []sampleDocument{{Type: s.of(o.documentsOf), Number: fmt.Sprintf("%c%07d", 'A'+rune(s.IntN(26)), s.IntN(1e7)), Issuer: o.code}}
	}
	if s.chance(.6) {
		p.FatherName = s.of(o.male)
	}
	if s.chance(.5) {
		p.MotherName = s.of(o.female)
	}
	if s.chance(.3) {
		p.ArrivedAt = fmt.Sprintf("2026-%02d-%02d", 1+s.IntN(12), 1+s.IntN(28))
	}
	if s.chance(.25) {
		p.Needs = []string{s.of(words("wheelchair pregnant infant chronic_illness elderly_alone hearing vision unaccompanied single_parent shelter food water interpreter"))}
	}
	if s.chance(.5) {
		p.Consent = []sampleConsent{{Purpose: s.of(words("registration sharing photo referral")), Given: true}}
	}
	return p
}

// payload is one op's content as it is compressed: mostly people, some of the
// small facts around them.
func (s sampler) payload() []byte {
	by := s.bytes(8)
	at := int64(1_700_000_000_000) + s.Int64N(200_000_000_000)
	var household ID
	copy(household[:], s.bytes(10))
	kind, body := "registration.registered", any(nil)
	switch n := s.IntN(20); {
	case n < 14:
		body = sampleRegistered{household, s.of(words("head spouse son daughter mother father brother sister other")), s.person(s.origin())}
	case n < 16:
		kind, body = "registration.household_formed", map[int]any{1: household[:]}
	case n < 18:
		kind, body = "tokens.issued", map[int]any{1: s.bytes(10), 2: 1, 3: 0, 4: 2500 + s.IntN(900), 5: 1 + s.IntN(9), 6: s.bytes(64)}
	default:
		kind, body = "registration.corrected", map[int]any{1: samplePerson{Phone: fmt.Sprintf("+%011d", s.Int64N(1e11))}}
	}
	raw, err := encMode.Marshal(body)
	if err != nil {
		panic(err)
	}
	plain, err := encMode.Marshal(content{Kind: kind, Version: 1, By: by, At: at, Body: raw})
	if err != nil {
		panic(err)
	}
	return plain
}

func samplePayloads(n int, seed uint64) [][]byte {
	s := sampler{rand.New(rand.NewPCG(seed, 7))}
	out := make([][]byte, n)
	for i := range out {
		out[i] = s.payload()
	}
	return out
}

// trainDictionary builds the dictionary: frequent strings first found by the
// builder, entropy tables from the same samples.
func trainDictionary() ([]byte, error) {
	return dict.BuildZstdDict(samplePayloads(12000, 1), dict.Options{MaxDictSize: 24 << 10, HashBytes: 5, ZstdDictID: dictionary1ID, ZstdLevel: zstd.SpeedFastest})
}

func TestDictionary(t *testing.T) {
	if *updateDictionary {
		d, err := trainDictionary()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("dictionary1.bin", d, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Logf("wrote %d bytes; run again without the flag to measure", len(d))
		return
	}
	var plain, packed int
	for _, p := range samplePayloads(2000, 2) {
		c := compress(nil, p)
		back, err := expand(c)
		if err != nil || !bytes.Equal(back, p) {
			t.Fatalf("round trip: %v", err)
		}
		plain += len(p)
		packed += len(c)
	}
	t.Logf("mean payload %d B, packed %d B", plain/2000, packed/2000)
	if packed*10 > plain*7 {
		t.Errorf("the dictionary does not help: %d of %d bytes", packed, plain)
	}
}
