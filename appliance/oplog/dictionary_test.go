package oplog

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/klauspost/compress/dict"
	"github.com/klauspost/compress/zstd"
)

var updateDictionary = flag.Bool("update-dictionary", false,
	"train dictionary1.bin again; never after a release: its bytes are part of the format")

// samplePerson has the shape of a registered person: small integer keys, in the
// order of registration.Person. It is written out here, not imported, because the
// journal knows no desk; when the desks change shape, old payloads stay readable
// and new ones pack a little worse until a second dictionary is added.
type samplePerson struct {
	GivenName   string           `cbor:"1,keyasint,omitempty"`
	FamilyName  string           `cbor:"2,keyasint,omitempty"`
	OtherNames  string           `cbor:"3,keyasint,omitempty"`
	Sex         string           `cbor:"4,keyasint,omitempty"`
	BirthDate   string           `cbor:"5,keyasint,omitempty"`
	Age         int              `cbor:"6,keyasint,omitempty"`
	Precision   string           `cbor:"7,keyasint,omitempty"`
	AgeAt       string           `cbor:"8,keyasint,omitempty"`
	Nationality string           `cbor:"9,keyasint,omitempty"`
	Languages   []string         `cbor:"10,keyasint,omitempty"`
	Phone       string           `cbor:"11,keyasint,omitempty"`
	Documents   []sampleDocument `cbor:"12,keyasint,omitempty"`
	FatherName  string           `cbor:"13,keyasint,omitempty"`
	MotherName  string           `cbor:"14,keyasint,omitempty"`
	Origin      string           `cbor:"15,keyasint,omitempty"`
	Destination string           `cbor:"16,keyasint,omitempty"`
	ArrivedAt   string           `cbor:"17,keyasint,omitempty"`
	Needs       []string         `cbor:"18,keyasint,omitempty"`
	Consent     []sampleConsent  `cbor:"19,keyasint,omitempty"`
	Notes       string           `cbor:"20,keyasint,omitempty"`
}

type sampleDocument struct {
	Type   string `cbor:"1,keyasint,omitempty"`
	Number string `cbor:"2,keyasint,omitempty"`
	Issuer string `cbor:"3,keyasint,omitempty"`
}

type sampleConsent struct {
	Purpose string `cbor:"1,keyasint,omitempty"`
	Given   bool   `cbor:"2,keyasint,omitempty"`
	At      string `cbor:"3,keyasint,omitempty"`
}

// sampleRegistered is a person in a household.
type sampleRegistered struct {
	Person    samplePerson `cbor:"1,keyasint"`
	Household ID           `cbor:"2,keyasint,omitzero"`
	Relation  string       `cbor:"3,keyasint,omitempty"`
}

// sampleOrigin is where made-up people come from, with names in the scripts
// clerks write them in.
type sampleOrigin struct {
	code, phone, lang         string
	female, male, kin, places string
}

func sampleOrigins() []sampleOrigin {
	return []sampleOrigin{
		{"SYR", "+9639", "ar", "فاطمة عائشة مريم زينب نور هالة رنا سلمى ليلى ياسمين Fatima Maryam Zeinab Hala Rana", "محمد أحمد علي حسن عمر خالد يوسف إبراهيم سامر Mohammad Ahmad Khaled Ibrahim Youssef",
			"الحسن العلي الأحمد خليل حداد درويش الخطيب شاهين Al-Hassan Al-Ahmad Khalil Haddad Darwish", "حلب حمص إدلب دمشق درعا الرقة Aleppo Homs Idlib Damascus"},
		{"IRQ", "+9647", "ku", "شلێر ئاڤان هێرۆ نەسرین Shler Avan Hero Nasrin", "کاروان ئازاد هێمن سەردار Karwan Azad Hemin Sardar", "عەزیز ڕەشید مەحمود Aziz Rashid Mahmoud", "هەولێر سلێمانی دهۆک Mosul Kirkuk Duhok"},
		{"SDN", "+2499", "ar", "Amna Hawa Mariam Zahra Khadija Ikhlas Rania حواء آمنة خديجة", "Mohamed Ahmed Abdalla Osman Yasir Idris عثمان عبدالله إدريس", "Abdelrahman Adam Elhaj Bashir Khamis Eltayeb آدم بشير", "Khartoum Nyala Geneina Fasher Omdurman الخرطوم نيالا"},
		{"AFG", "+937", "fa", "زهرا فاطمه مریم شکریه نرگس لیلا فرشته ثریا Zahra Nargis Farishta Soraya", "محمد احمد علی رضا کریم نجیب فرید حمید Najib Farid Hamid Karim", "احمدی رحیمی حسینی نوری کریمی صافی امینی Ahmadi Rahimi Hosseini Noori", "کابل هرات قندهار مزار شریف بلخ غزنی Kabul Herat Kandahar Ghazni"},
		{"UKR", "+3806", "uk", "Олена Наталія Ірина Оксана Тетяна Марія Катерина Юлія Olena Iryna Oksana", "Олександр Іван Андрій Микола Сергій Дмитро Петро Oleksandr Andrii Serhii", "Шевченко Коваленко Бондаренко Ткаченко Кравченко Олійник Мельник Kovalenko Melnyk", "Харків Маріуполь Херсон Київ Дніпро Суми Kharkiv Mariupol Kherson"},
		{"RUS", "+79", "ru", "Елена Наталья Ирина Ольга Татьяна Анна", "Александр Иван Андрей Николай Сергей Дмитрий", "Иванов Смирнова Кузнецов Попова Соколов Иванова", "Белгород Курск Ростов Воронеж"},
		{"COD", "+2438", "fr", "Marie Espérance Jeanne Furaha Aline Neema Chantal Solange", "Jean Pierre Emmanuel Patrick Joseph Baraka Innocent Amani", "Mukendi Ilunga Kasongo Mbuyi Bahati Mutombo Kalala", "Goma Bukavu Kinshasa Bunia Uvira Beni"},
		{"SOM", "+2526", "so", "Fadumo Hodan Amina Sahra Ifrah Khadra Nasra Xaawo Faadumo", "Abdi Maxamed Xasan Cali Faarax Yuusuf Axmed Mohamed", "Warsame Abdullahi Xuseen Jaamac Nuur Aadan Cismaan", "Muqdisho Baydhabo Kismaayo Hargeysa Mogadishu"},
		{"ETH", "+2519", "am", "አስቴር ሰላም ሕይወት ማርታ ትዕግስት ብርቱካን Aster Selam Hiwot", "አበበ ከበደ ተስፋዬ ሀይሌ ዮሐንስ ዳዊት Abebe Kebede Tesfaye", "ገብረ ወልደ ተክለ በቀለ ታደሰ አለሙ Gebre Wolde Bekele", "መቀሌ ጎንደር አዲስ አበባ ባሕር ዳር Mekelle Gondar"},
		{"ERI", "+2917", "ti", "ሰናይት ኣበባ ለተብርሃን Senait Abeba", "ብርሃነ ሃብቶም ኪዳነ Berhane Habtom", "ተወልደ ገብረሚካኤል Tewelde", "ኣስመራ ከረን Asmara Keren"},
		{"VEN", "+5841", "es", "María Ana Carmen Luisa Rosa Gabriela Daniela Andrea", "José Luis Carlos Juan Pedro Miguel Ángel Jesús", "González Rodríguez Pérez Hernández García Martínez López Ramírez", "Caracas Maracaibo Valencia Mérida Barquisimeto"},
		{"COL", "+573", "es", "Luz Paola Yuliana Sandra Diana Claudia", "Andrés Jhon Wilson Fabián Óscar Javier", "Gómez Moreno Vargas Castillo Mosquera Quintero", "Cúcuta Buenaventura Tumaco Quibdó"},
		{"MMR", "+959", "my", "အေးအေး ခင်မြ သီတာ နီလာ Aye Khin Mya Thida Daw", "အောင်ကျော် မင်းဇော် ထွန်း Aung Kyaw Min Zaw U Ko", "ဝင်းထွဋ် နိုင်ဦး Win Oo Htwe Naing", "ရန်ကုန် စစ်တွေ မန္တလေး Sittwe Yangon"},
		{"XXA", "+8801", "rhg", "Nur Begum Rohima Khatun Hasina Senowara", "Mohammed Rofique Abdu Zahid Kamal Noor Shukkur", "Ullah Hussain Alam Salam Amin", "Maungdaw Buthidaung Rathedaung"},
		{"NGA", "+234", "yo", "Ngozi Folake Halima Aisha Bisi Titilayo", "Chinedu Musa Ibrahim Tunde Yusuf Segun", "Okafor Adeyemi Bello Abubakar Ogunleye", "Maiduguri Yola Gwoza Bama"},
		{"SEN", "+2217", "wo", "Awa Fatou Mariama Aïssatou Coumba", "Mamadou Ousmane Ibrahima Moussa Cheikh", "Diallo Traoré Ndiaye Coulibaly Keïta", "Gao Kidal Tombouctou Ségou"},
		{"HTI", "+5093", "ht", "Marie Rose Nadège Guerline Mirlande Fabiola", "Jean Jacques Wilner Frantz Emmanuel Junior", "Pierre Joseph Louis Charles Baptiste Étienne", "Jacmel Gonaïves Léogâne Jérémie"},
		{"VNM", "+849", "vi", "Nguyễn Thị Lan Trần Thị Hoa Mai Hương", "Văn Minh Đức Hùng Tuấn", "Nguyễn Trần Lê Phạm Hoàng", "Huế Đà Nẵng"},
		{"TUR", "+905", "tr", "Ayşe Emine Zeynep Elif Hatice", "Mehmet Mustafa Hüseyin İbrahim", "Yılmaz Kaya Demir Şahin Çelik", "Hatay Adıyaman Malatya"},
		{"THA", "+668", "th", "สมหญิง มาลี สุดา", "สมชาย ประเสริฐ สมศักดิ์", "ใจดี ทองดี แสงทอง", "เชียงราย ตาก แม่สอด"},
	}
}

// sampler draws made-up people from a seed.
type sampler struct{ *rand.Rand }

// of draws one word.
func (s sampler) of(list string) string {
	w := strings.Fields(list)
	return w[s.IntN(len(w))]
}
func (s sampler) chance(p float64) bool { return s.Float64() < p }
func (s sampler) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(s.IntN(256))
	}
	return b
}

func (s sampler) origin() sampleOrigin { return sampleOrigins()[s.IntN(len(sampleOrigins()))] }

func (s sampler) day(from, years int) string {
	return fmt.Sprintf("%d-%02d-%02d", from+s.IntN(years), 1+s.IntN(12), 1+s.IntN(28))
}

func (s sampler) person(o sampleOrigin) samplePerson {
	p := samplePerson{Sex: "male", GivenName: s.of(o.male), FamilyName: s.of(o.kin), Nationality: o.code}
	if s.chance(.52) {
		p.Sex, p.GivenName = "female", s.of(o.female)
	}
	switch {
	case s.chance(.6):
		p.BirthDate, p.Precision = s.day(1940, 86), "day"
	case s.chance(.5):
		p.BirthDate, p.Precision = fmt.Sprintf("%d", 1940+s.IntN(86)), "year"
	case s.chance(.5):
		p.BirthDate, p.Precision = fmt.Sprintf("%d-01-01", 1940+s.IntN(86)), "estimated"
	default:
		p.Age, p.Precision, p.AgeAt = 1+s.IntN(85), "estimated", s.day(2025, 3)
	}
	if s.chance(.4) {
		p.OtherNames = s.of(o.male) + " " + s.of(o.kin)
	}
	if s.chance(.3) {
		p.Languages = []string{o.lang}
	}
	if s.chance(.4) {
		p.Phone = fmt.Sprintf("%s%08d", o.phone, s.IntN(1e8))
	}
	if s.chance(.3) {
		p.Documents = []sampleDocument{{Type: s.of("national_id passport birth_certificate family_book residence_permit other"), Number: fmt.Sprintf("%c%07d", 'A'+rune(s.IntN(26)), s.IntN(1e7)), Issuer: o.code}}
	}
	if s.chance(.6) {
		p.FatherName = s.of(o.male)
	}
	if s.chance(.4) {
		p.MotherName = s.of(o.female)
	}
	if s.chance(.7) {
		p.Origin = s.of(o.places)
	}
	s.more(&p)
	return p
}

// more fills in what only some people are asked.
func (s sampler) more(p *samplePerson) {
	if s.chance(.3) {
		p.ArrivedAt = s.day(2025, 3)
	}
	if s.chance(.25) {
		p.Needs = []string{s.of("pregnant breastfeeding infant elderly wheelchair walking seeing hearing speaking self_care memory interpreter reading diet allergy medication refrigerated_medicine oxygen power lower_bunk ground_floor near_toilet clothing bedding hygiene_kit animal")}
	}
	if s.chance(.4) {
		at := s.day(2026, 2) + fmt.Sprintf("T%02d:%02d:00Z", s.IntN(24), s.IntN(60))
		for _, purpose := range strings.Fields("registration referral statistics")[:1+s.IntN(3)] {
			p.Consent = append(p.Consent, sampleConsent{Purpose: purpose, Given: s.chance(.8), At: at})
		}
	}
}

// payload is one op's content as it is compressed: mostly people, some of the
// small facts around them.
func (s sampler) payload() []byte {
	kind, body := "registration.registered", any(nil)
	var once []byte
	switch n := s.IntN(20); {
	case n < 14:
		r := sampleRegistered{Person: s.person(s.origin()), Relation: s.of("head spouse child son daughter parent father mother sibling brother sister grandparent grandchild in_law cousin other_relative other")}
		copy(r.Household[:], s.bytes(10))
		body = r
		if s.chance(.5) {
			once = s.bytes(onceLen)
		}
	case n < 16:
		kind, body = "registration.household_formed", map[int]any{1: s.bytes(10), 2: [][]byte{s.bytes(10), s.bytes(10), s.bytes(10)}}
	case n < 18:
		kind, body = "tokens.issued", map[int]any{1: 1, 2: 1 + s.IntN(9), 3: s.bytes(10), 4: 0, 5: 2500 + s.IntN(900), 6: s.bytes(64)}
	case n == 18:
		kind, body = "registration.joined", map[int]any{1: s.bytes(10), 2: s.of("spouse child")}
	default:
		kind, body = "registration.corrected", map[int]any{1: []byte{9}, 2: samplePerson{Phone: fmt.Sprintf("+%011d", s.Int64N(1e11))}}
	}
	raw, err := encMode.Marshal(body)
	if err != nil {
		panic(err)
	}
	at := int64(1_760_000_000_000) + s.Int64N(90_000_000_000) // payloads had milliseconds when dictionary 1 was trained; seconds gain nothing from another
	plain, err := encMode.Marshal(content{Kind: kind, Version: 1, By: s.bytes(8), At: at, Unsure: s.chance(.3), Once: once, Body: raw})
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
		c := compress(nil, p, false)
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
