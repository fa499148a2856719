package registration

// origin is where made-up people come from: names as they are written there.
type origin struct {
	nationality            string
	languages              []string
	dial                   string // country calling code; the numbers behind it are random
	oneName                bool   // no family names there
	female, male, families []string
	places                 []string
}

// origins were written by hand; common names and large towns only. CC0.
var origins = [...]origin{
	{
		nationality: "SYR", languages: []string{"ar"}, dial: "+963",
		female:   []string{"فاطمة", "مريم", "نور", "هدى", "ليلى", "رنا", "سلمى", "آمنة", "زينب", "ياسمين"},
		male:     []string{"محمد", "أحمد", "خالد", "يوسف", "عمر", "حسن", "إبراهيم", "سامر", "عبد الرحمن", "مصطفى"},
		families: []string{"الحسن", "الخطيب", "درويش", "حداد", "المصري", "العلي", "النجار", "شحادة"},
		places:   []string{"حلب", "حمص", "إدلب", "درعا"},
	},
	{
		nationality: "SLV", languages: []string{"es"}, dial: "+503",
		female:   []string{"María José", "Ana", "Gabriela", "Rosa", "Lucía", "Carmen", "Daniela", "Xiomara", "Ángela"},
		male:     []string{"José", "Carlos", "Luis Ángel", "Óscar", "Mauricio", "Kevin", "Andrés", "Ramón", "Íñigo"},
		families: []string{"Hernández López", "Martínez", "Rivas Peña", "Flores", "Guzmán", "Muñoz Díaz", "Portillo"},
		places:   []string{"San Miguel", "Soyapango", "Santa Ana", "Usulután"},
	},
	{
		nationality: "GTM", languages: []string{"quc", "es"}, dial: "+502",
		female:   []string{"Juana", "Catarina", "Micaela", "Tomasa", "Petrona", "Ixchel"},
		male:     []string{"Diego", "Sebastián", "Mateo", "Pascual", "Tomás", "Gaspar"},
		families: []string{"Tum", "Ixcoy", "Chávez Us", "Lux", "Tzoc", "Pérez Ajanel"},
		places:   []string{"Quetzaltenango", "Nebaj", "Chichicastenango"},
	},
	{
		nationality: "UKR", languages: []string{"uk", "ru"}, dial: "+380",
		female:   []string{"Оксана", "Марія", "Ірина", "Наталія", "Юлія", "Олена", "Софія", "Вікторія"},
		male:     []string{"Олександр", "Іван", "Андрій", "Богдан", "Тарас", "Микола", "Юрій", "Євген"},
		families: []string{"Шевченко", "Коваленко", "Бондаренко", "Мельник", "Ткачук", "Кравець", "Поліщук"},
		places:   []string{"Маріуполь", "Харків", "Херсон", "Бахмут"},
	},
	{
		nationality: "MMR", languages: []string{"my"}, dial: "+95", oneName: true,
		female:   []string{"မသီတာ", "ဒေါ်ခင်မြင့်", "မနီလာ", "မဝင်းဝင်း", "ဒေါ်အေးအေး", "မစန္ဒာ"},
		male:     []string{"ကိုအောင်", "ဦးလှမြင့်", "မောင်ဇော်", "ကိုမင်းမင်း", "ဦးတင်ဝင်း", "မောင်သန့်"},
		families: []string{""},
		places:   []string{"မော်လမြိုင်", "ဘားအံ", "မြဝတီ"},
	},
	{
		nationality: "HTI", languages: []string{"ht", "fr"}, dial: "+509",
		female:   []string{"Marie-Ange", "Guerda", "Rose-Laure", "Nadège", "Fabiola", "Wideline", "Esther"},
		male:     []string{"Jean-Robert", "Wilner", "Frantz", "Évens", "Stanley", "Dieudonné", "Josué"},
		families: []string{"Pierre", "Jean-Baptiste", "Desrosiers", "François", "Célestin", "Étienne"},
		places:   []string{"Port-au-Prince", "Ouanaminthe", "Cap-Haïtien", "Les Cayes"},
	},
	{
		nationality: "SOM", languages: []string{"so"}, dial: "+252",
		female:   []string{"Xaliimo", "Caasha", "Hodan", "Sahra", "Faadumo", "Nimco", "Ubax"},
		male:     []string{"Cabdi", "Maxamed", "Cali", "Xasan", "Ismaaciil", "Yuusuf", "Axmed"},
		families: []string{"Cabdullahi", "Warsame", "Nuur", "Cilmi", "Jaamac", "Faarax"},
		places:   []string{"Muqdisho", "Baydhabo", "Kismaayo"},
	},
	{
		nationality: "AFG", languages: []string{"prs", "ps"}, dial: "+93",
		female:   []string{"زهرا", "شکریه", "مینا", "فرشته", "گل‌نار", "حمیده", "لینا"},
		male:     []string{"احمدضیا", "نجیب", "حمید", "فرید", "کریم", "رحیم", "شفیق"},
		families: []string{"احمدی", "رحیمی", "یوسفزی", "حیدری", "کریمی", "نوری"},
		places:   []string{"هرات", "کابل", "کندهار", "غزنی"},
	},
	{
		nationality: "VEN", languages: []string{"es"}, dial: "+58",
		female:   []string{"Yulimar", "Andreína", "María Fernanda", "Génesis", "Yajaira", "Belén"},
		male:     []string{"Jesús", "Wilmer", "José Gregorio", "Yeferson", "Simón", "Raúl"},
		families: []string{"González Peñalver", "Rodríguez", "Briceño", "Chacón", "Urdaneta"},
		places:   []string{"Maracaibo", "Táchira", "Ciudad Bolívar"},
	},
	{
		nationality: "ETH", languages: []string{"ti", "am"}, dial: "+251",
		female:   []string{"ለተብርሃን", "ሰላም", "ሂወት", "አልማዝ", "ትዕግስት"},
		male:     []string{"ገብረ", "ተስፋይ", "ሃይለ", "ዳዊት", "ዮሃንስ"},
		families: []string{"ገብረመድህን", "ሃይለስላሴ", "ተክለ", "ወልዱ"},
		places:   []string{"መቐለ", "ሑመራ", "ጎንደር"},
	},
}
