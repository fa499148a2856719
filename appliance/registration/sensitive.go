package registration

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/waypost/waypost/appliance/staff"
)

// Sensitive is a code that never stands in the open register: each belongs to the
// narrow compartment whose people can help.
type Sensitive struct {
	Code   string
	Narrow staff.Narrow
}

// SensitiveCodes lists them in the order of the form. Labels are in ui/locale under
// registration.aside.*.
func SensitiveCodes() []Sensitive {
	out := make([]Sensitive, len(sensitiveTable))
	for i, s := range sensitiveTable {
		out[i] = Sensitive{s.code, s.narrow}
	}
	return out
}

// sensitiveTable names each code, its compartment and what other systems and people
// call it. Sources, read 2026-11-30: the needs codes of UNHCR and the concerns of
// Primero (its lookups "unhcr-needs-codes", "protection-concerns",
// "protection-status", "unaccompanied-separated-status"), the vulnerability types of
// Sahana (dvr_vulnerability_type.csv: UAM, LGBTQi, VHT, VT, SHH, TRAUMA), the columns
// of CTDC and the terms of HTCDS (design notes on field practice, 1c, 3.1, 3.9, 3.12).
// Everyday words are in English, Spanish, French and Arabic; foldTerm makes case,
// accents, signs between words and the Arabic article the same. Codes of two letters
// and two letters are told by their first two: see codeFamilies.
var sensitiveTable = [...]struct {
	code   string
	narrow staff.Narrow
	terms  string
}{
	{"trafficking", staff.NarrowProtection, `trafficking, human trafficking, trafficking in persons, tip, vot, vht, trafficked, trafficked smuggled, victim of trafficking,
		victim of human trafficking, trafficking victim, slavery, modern slavery, slavery sale abduction, forced labour, forced labor, isforcedlabour, debt bondage, domestic servitude,
		servitude, exploitation, exploited, sexual exploitation, sexually exploited, issexualexploit, isotherexploit, labour exploitation, organ removal, isorganremoval, isforcedmilitary,
		isslaveryandpractices, isabduction, abducted trafficked, slavery sale abduction trafficking forced labor,
		trata, trata de personas, victima de trata, explotacion, explotacion sexual, explotacion laboral, trabajo forzado, trabajo forzoso, esclavitud, servidumbre,
		traite, traite des etres humains, traite des personnes, victime de traite, exploitation sexuelle, travail force, esclavage, servitude pour dettes,
		اتجار, اتجار بالبشر, اتجار بالأشخاص, ضحية اتجار, ضحية اتجار بالبشر, استغلال, استغلال جنسي, عمل قسري, عبودية, سخرة`},
	{"torture", staff.NarrowProtection, `torture, tortured, vt, victim of torture, torture survivor, survivor of torture, torture victim, tr,
		tortura, torturado, torturada, victima de tortura, victime de torture, torturee, تعذيب, ضحية تعذيب, ناج من تعذيب, تعرض للتعذيب`},
	{"sexual_violence", staff.NarrowProtection, `sexual violence, sexual abuse, sexual abuse violence, sexually abused, rape, raped, rape survivor, gbv, sgbv, gbv survivor, sgbv survivor, sv,
		survivor of sexual violence, victim of sexual violence, fgm, female genital mutilation, female genital mutilation fgm, forced marriage, isforcedmarriage, gender based violence,
		violencia sexual, abuso sexual, violacion, violada, violado, violencia de genero, matrimonio forzado, mutilacion genital, vbg,
		violence sexuelle, violences sexuelles, abus sexuel, viol, violee, violences basees sur le genre, mariage force, mutilation genitale, excision,
		عنف جنسي, اغتصاب, اعتداء جنسي, مغتصبة, زواج قسري, ختان, عنف قائم على النوع الاجتماعي, تحرش جنسي`},
	{"domestic_violence", staff.NarrowProtection, `domestic violence, domestic abuse, intimate partner violence, ipv, family violence, family abuse violence exploitation,
		family abuse violence neglect exploitation, violencia domestica, violencia familiar, violencia intrafamiliar, maltrato, violence domestique, violence conjugale, violences conjugales,
		violence familiale, عنف أسري, عنف منزلي, عنف عائلي`},
	{"violence", staff.NarrowProtection, `violence, victim of violence, survivor of violence, survivor, abuse, abused, physical abuse, physical abuse violence, physically or mentally abused,
		emotional or psychological, psychological emotional abuse, kidnapped, kidnapping, abduction, abducted, extortion,
		violencia, victima de violencia, abuso, secuestro, secuestrado, secuestrada, extorsion, victime de violence, victime de violences, violences, enlevement, enlevee, sequestration,
		عنف, ضحية عنف, اعتداء, خطف, اختطاف, مخطوف, ابتزاز, إساءة`},
	{"detention", staff.NarrowProtection, `detention, detained, in detention, deprived of liberty, deprived of liberty in detention, arrested, arrested detained, arrest and detention, arrest detention,
		imprisoned, prison, prisoner, ex detainee, former detainee, in conflict with the law, criminal record, detencion, detenido, detenida, preso, presa, carcel, privado de libertad,
		encarcelado, detention arbitraire, detenu, detenue, prisonnier, emprisonne, احتجاز, محتجز, معتقل, معتقلة, اعتقال, سجن, سجين, أسير`},
	{"armed_group", staff.NarrowProtection, `armed group, armed groups, associated with armed, associated with armed forces or groups, recruitment into armed forces or armed groups, combatant, ex combatant,
		former combatant, deserter, forced recruitment, grupo armado, combatiente, excombatiente, desertor, reclutamiento forzado, groupe arme, combattant, ex combattant, deserteur, enrolement force,
		جماعة مسلحة, مقاتل, مقاتل سابق, تجنيد قسري, منشق`},
	{"orientation", staff.NarrowProtection, `sexual orientation, gender identity, sogi, sogiesc, orientation, lgbt, lgbti, lgbtq, lgbtqi, lgbtiq, lgbtqia, gay, lesbian, bisexual, homosexual, transgender,
		trans, transsexual, transexual, intersex, queer, non binary, nonbinary, trans woman, trans man,
		orientacion sexual, identidad de genero, lesbiana, bisexual, transgenero, homosexuel, homosexuelle, lesbienne, bisexuel, bisexuelle, transgenre, orientation sexuelle, identite de genre,
		مثلي, مثلية, مثليه جنسيا, ميول جنسية, هوية جنسية, متحول جنسيا, متحولة جنسيا, مثلي الجنس, مزدوج الميل`},
	{"at_risk", staff.NarrowProtection, `at risk, in danger, woman at risk, women at risk, wr, person at risk, threatened, persecuted, persecution, protection case, protection concern, protection, shh,
		single headed household, refoulement, witness, statelessness, en riesgo, mujer en riesgo, amenazado, amenazada, amenazas, perseguido, perseguida, persecucion, proteccion,
		en danger, femme en danger, femme a risque, menace, menacee, persecute, persecutee, temoin, في خطر, امرأة معرضة للخطر, مهدد, مهددة, مضطهد, اضطهاد, حماية`},
	{"protection", staff.NarrowProtection, `lp, sp, sensitive, confidential, special case, confidencial, confidentiel, سري`},

	{"unaccompanied", staff.NarrowChild, `unaccompanied, unaccompanied minor, unaccompanied child, uam, umc, uc, uasc, um, mna, minor alone, child alone, sc, sc uc, no care arrangement, child headed household, chh,
		no acompanado, no acompanada, menor no acompanado, nino no acompanado, nina no acompanada, nna no acompanado, menor solo, ena, mena,
		non accompagne, non accompagnee, mineur non accompagne, mineure non accompagnee, enfant non accompagne, enfant seul, mineur isole, غير مصحوب, قاصر غير مصحوب, طفل غير مصحوب, طفلة غير مصحوبة,
		طفل وحيد, قاصر بمفرده`},
	{"separated", staff.NarrowChild, `separated, separated child, separated minor, sc sc, orphan, orphan or vulnerable child, other vulnerable child, abandoned, abandonment,
		separado, separada, nino separado, nina separada, menor separado, huerfano, huerfana, abandonado, abandonada, enfant separe, separe de ses parents, separee, orphelin, orpheline, abandonne,
		منفصل عن ذويه, طفل منفصل, طفلة منفصلة, منفصل, يتيم, يتيمة, متروك`},
	{"child_risk", staff.NarrowChild, `child at risk, cr, child labour, child labor, worst forms of child labor, worst forms of child labour, hazardous work, child marriage, early marriage, child spouse, child parent,
		child mother, teenage pregnancy, child soldier, caafag, street child, child abuse, neglect, highly vulnerable care, pregnancy child parent, child survivor of explosive,
		nino en riesgo, nina en riesgo, trabajo infantil, matrimonio infantil, nino soldado, nino de la calle, maltrato infantil, negligencia,
		enfant a risque, travail des enfants, mariage precoce, mariage des enfants, enfant soldat, enfant des rues, negligence, maltraitance,
		طفل معرض للخطر, عمالة أطفال, زواج مبكر, زواج أطفال, زواج قاصرات, طفل مجند, إهمال`},

	{"mental_health", staff.NarrowMedical, `mental health, mental illness, mental disorder, mentally ill, mentally distressed, mental disability, mental, psychosocial distress, psychosocial, mhpss, trauma, traumatised,
		traumatized, ptsd, depression, depressed, suicidal, suicide, self harm, psychosis, psychiatric, anxiety, sm mi, ds mm, ds ms,
		salud mental, enfermedad mental, trastorno mental, traumatizado, traumatizada, depresion, suicida, suicidio, sante mentale, maladie mentale, trouble mental, traumatisme, traumatise,
		suicidaire, psychiatrique, صحة نفسية, مرض نفسي, اضطراب نفسي, صدمة نفسية, اكتئاب, انتحار, ميول انتحارية`},
	{"hiv", staff.NarrowMedical, `hiv, aids, hiv aids, hiv positive, hiv+, plhiv, plwha, art, arv, vih, sida, vih sida, vih positivo, seropositivo, seropositiva, seropositif, seropositive,
		إيدز, فيروس نقص المناعة, فيروس نقص المناعة البشرية, مصاب بالإيدز, متعايش مع فيروس`},
	{"addiction", staff.NarrowMedical, `addiction, addict, drug use, drug addiction, substance abuse, substance use, substance abuse and addiction child, alcoholism, alcoholic,
		adiccion, adicto, adicta, drogadiccion, alcoholismo, toxicomanie, toxicomane, alcoolisme, alcoolique, إدمان, مدمن, مدمنة`},
	{"health", staff.NarrowMedical, `serious medical condition, serious health issue, sm, chronic illness, critical medical condition, tuberculosis, tb, hepatitis, hepatitis b, hepatitis c, syphilis, std, sti,
		malnutrition, malnourished, sam, mam, abortion, miscarriage, epilepsy, cancer, leprosy, enfermedad grave, enfermedad cronica, tuberculosis, hepatitis, desnutricion, aborto,
		maladie grave, maladie chronique, tuberculose, hepatite, avortement, denutrition, مرض خطير, مرض مزمن, سل, التهاب الكبد, سوء تغذية, إجهاض, صرع, سرطان`},

	{"family_lost", staff.NarrowTracing, `family tracing, tracing, tracing required, tracing request, family reunification, family reunion, family unity, fu, missing family, lost family,
		busqueda de familiares, reunificacion familiar, familia perdida, recherche de famille, reunification familiale, regroupement familial, famille disparue,
		بحث عن عائلة, لم شمل, لم شمل عائلة, عائلة مفقودة`},
}

// codeFamilies are the first letters of UNHCR's two-part codes (CR-CP, TR-PI, SV-VA …). A
// code of a family that is not known in full belongs where its family does: lists
// differ between years and countries, and what is diverted wrongly is not lost.
var codeFamilies = map[string]string{
	"cr": "child_risk", "sc": "unaccompanied", "wr": "at_risk", "sp": "protection", "lp": "protection", "tr": "torture", "sv": "sexual_violence",
	"sm": "health", "ds": "health", "fu": "family_lost",
}

// practical are the codes of other lists that are a need of ours and nothing else.
var practical = map[string]string{
	"ds bd": "seeing", "ds df": "hearing", "ds sd": "speaking", "ds pm": "walking", "ds ps": "walking", "er": "elderly", "wr lc": "breastfeeding",
	"functional difficulty seeing": "seeing", "functional difficulty hearing": "hearing", "functional difficulty walking": "walking",
	"functional difficulty remembering": "memory", "difficulty with self care": "self_care", "difficulty communicating": "speaking",
	"preg": "pregnant", "pregnancy": "pregnant", "older person": "elderly", "lactating": "breastfeeding", "lactation": "breastfeeding", "baby": "infant",
	"embarazada": "pregnant", "enceinte": "pregnant", "حامل": "pregnant", "silla de ruedas": "wheelchair", "fauteuil roulant": "wheelchair", "كرسي متحرك": "wheelchair",
	"interprete": "interpreter", "مترجم": "interpreter", "dieta": "diet", "regime": "diet", "bebe": "infant", "رضيع": "infant",
}

// terms are the folded words of the table and the code of each.
var terms = sync.OnceValue(func() map[string]string {
	m := map[string]string{}
	for _, s := range sensitiveTable {
		m[foldTerm(s.code)] = s.code
		for term := range strings.SplitSeq(s.terms, ",") {
			if t := foldTerm(term); m[t] == "" { // the first one has it: a word may fit two
				m[t] = s.code
			}
		}
	}
	return m
})

// foldTerm is foldName without the article of Arabic words.
func foldTerm(s string) string {
	words := strings.Fields(foldName(s))
	for i, w := range words {
		if rest, ok := strings.CutPrefix(w, "ال"); ok && utf8.RuneCountInString(rest) > 2 {
			words[i] = rest
		}
	}
	return strings.Join(words, " ")
}

// standardCode is how two-part codes are written: TR-PI, tr_pi, "TR PI".
var standardCode = regexp.MustCompile(`^([a-z]{2}) [a-z]{2,3}$`)

// sensitiveCode is the code of a value that as a whole names one: a code of ours, a
// word of the table, or a two-part code of a family.
func sensitiveCode(value string) (code string, ok bool) {
	t := foldTerm(value)
	if code, ok = terms()[t]; ok {
		return code, true
	}
	if m := standardCode.FindStringSubmatch(t); m != nil && practical[t] == "" {
		code, ok = codeFamilies[m[1]]
	}
	return code, ok
}

// minContained is how long a word must be to count inside a longer value, but for some
// that mean nothing else.
const minContained = 4

var shortButClear = [...]string{"hiv", "vih", "gbv", "vbg", "fgm", "uam", "vht"}

// sensitiveInside is sensitiveCode for a value that may say it in a sentence ("was
// detained at the border"). Of several words the one that comes first in the table
// counts; the value goes along as it is.
func sensitiveInside(value string) (code string, ok bool) {
	if code, ok = sensitiveCode(value); ok {
		return code, true
	}
	if code, ok = codeInText(value); ok {
		return code, true
	}
	text := " " + foldTerm(value) + " "
	best := len(sensitiveTable)
	for t, c := range terms() {
		if (utf8.RuneCountInString(t) >= minContained || slices.Contains(shortButClear[:], t)) && strings.Contains(text, " "+t+" ") {
			if i := placeOf(c); i < best {
				best, code = i, c
			}
		}
	}
	return code, code != ""
}

// placeOf is where a code stands in the table, or its length.
func placeOf(code string) int {
	for i, s := range sensitiveTable {
		if s.code == code {
			return i
		}
	}
	return len(sensitiveTable)
}

// narrowOf is the compartment of a code; false for a code there is not.
func narrowOf(code string) (staff.Narrow, bool) {
	if i := placeOf(code); i < len(sensitiveTable) {
		return sensitiveTable[i].narrow, true
	}
	return "", false
}

// writtenCode is a two-part code as lists write it, inside other text.
var writtenCode = regexp.MustCompile(`\b[A-Z]{2}[-_][A-Z]{2,3}\b`)

// codeInText finds a two-part code of a family in a text. Words are not looked for:
// a note is the worker's own, and is warned about, see Watch.
func codeInText(s string) (code string, ok bool) {
	for _, w := range writtenCode.FindAllString(s, -1) {
		t := foldTerm(w)
		if practical[t] != "" {
			continue
		}
		if code, ok = sensitiveCode(w); ok {
			return code, true
		}
	}
	return "", false
}

// needOf is the code of a practical need that a value stands for.
func needOf(value string) (code string, ok bool) {
	code = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(value)), " ", "_")
	if slices.Contains(Needs(), code) {
		return code, true
	}
	code, ok = practical[foldTerm(value)]
	return code, ok
}
