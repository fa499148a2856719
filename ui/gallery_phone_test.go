package ui

import "strings"

// onNetwork is the frame of a page that came by HTTPS.
func onNetwork(r rungLine, more func(*view)) func(*view) {
	return func(v *view) {
		v.Rung = &r
		if more != nil {
			more(v)
		}
	}
}

func galleryPhone(now int, agent string) func(s speaker) any {
	return func(s speaker) any {
		fingerprint := strings.TrimSuffix(strings.Repeat("3F:9A:C1:07:", 8), ":")
		return phonePage{
			Rungs: rungsOf(s.Lang, now), Here: now < 0, Plain: now == 0, To: "/", Words: wordList{galleryWords, true},
			Fingerprint: grouped(fingerprint), Ends: endsOf(fingerprint), Guides: guidesFor(s.Lang, agent), Apple: deviceOf(agent) == "iphone",
		}
	}
}

func phonePictures() []picture {
	android := "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/156.0 Mobile Safari/537.36"
	public := &publicLine{Names: []string{"n1.camp.example.org"}, Issuer: "CN=R11,O=Let's Encrypt,C=US", From: "2026-11-20", Until: "2026-12-20", Ends: true}
	own := func(m webcertModel) func(speaker) any {
		m.Own, m.Until, m.Fingerprint = wordList{galleryWords, true}, "2036-11-24", grouped(strings.TrimSuffix(strings.Repeat("3F:9A:C1:07:", 8), ":"))
		return func(speaker) any { return m }
	}
	return []picture{
		{name: "phone-plain", page: "phone/phone", frame: onNetwork(rungLine{}, stranger), data: func(s speaker) any {
			m := galleryPhone(0, "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)")(s).(phonePage)
			m.Address = "https://10.42.0.1:8443/"
			return m
		}},
		{name: "phone-warned", page: "phone/phone", frame: onNetwork(rungLine{Now: 1}, nil), data: galleryPhone(1, android)},
		{name: "phone-gate", page: "phone/phone", frame: onNetwork(rungLine{Now: 1}, nil), data: func(s speaker) any {
			m := galleryPhone(1, android)(s).(phonePage)
			m.Gate, m.To = true, "/people"
			return m
		}},
		{name: "phone-trusting", page: "phone/phone", frame: onNetwork(rungLine{Now: 2, Proven: true}, nil), data: galleryPhone(2, android)},
		{name: "phone-public", page: "phone/phone", frame: onNetwork(rungLine{Now: 3, Proven: true}, nil), data: func(s speaker) any {
			m := galleryPhone(3, android)(s).(phonePage)
			m.Names = public.Names
			return m
		}},
		{name: "phone-here", page: "phone/phone", data: galleryPhone(-1, "")},
		{name: "offline", page: "phone/offline", frame: onNetwork(rungLine{Now: 1}, stranger)},
		{name: "unlock-gate", page: "entry/unlock", frame: onNetwork(rungLine{Now: 1}, closed), data: func(speaker) any { return lockedPage{} }},
		{name: "unlock-gate-refused", page: "entry/unlock", frame: onNetwork(rungLine{Now: 1}, closed), data: func(speaker) any { return lockedPage{} }, form: topOf(rungFault)},
		{name: "signin-warned", page: "entry/signin", frame: onNetwork(rungLine{Now: 1}, stranger), data: func(speaker) any { return signInModel{"/"} }},
		{name: "help-ladder", page: "help/topic", frame: stranger, data: func(s speaker) any {
			t := topicOf(s.Lang, "ladder")
			t.Words = wordList{galleryWords, true}
			return t
		}},
		{name: "webcert", page: "box/webcert", data: own(webcertModel{})},
		{name: "webcert-waiting", page: "box/webcert", data: own(webcertModel{Requested: public.Names})},
		{name: "webcert-public", page: "box/webcert", data: own(webcertModel{Public: public}), form: topOf("fault.identity.webcert_key")},
	}
}
