package ui

import (
	"slices"
	"strconv"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/ui/locale"
)

// helpIndex lists what there is to read.
type helpIndex struct {
	Topics  []helpTopic
	Version string
}

// helpTopic is one page of help: what it is about, and what to do, step by step.
type helpTopic struct {
	Name, Title, Why string
	Steps            []string
	Words            wordList // of the box's certificate authority, where it is told of
}

// helpTopics are the topics in the order they are wanted: the first day, the desk, what
// is urgent, then what somebody reads in daylight.
func helpTopics() []string {
	return []string{
		"first", "register", "aside", "cards", "verify", "signin", "phones",
		"trouble", "lock", "night", "lost",
		"posts", "copies", "carry", "relay", "links", "sealed", "looked", "erase", "backup", "papers", "ladder", "promises",
	}
}

// topicOf reads a topic: help.<name>.title, .why, and steps .1, .2 and so on.
func topicOf(lang locale.Language, name string) helpTopic {
	key := "help." + name + "."
	t := helpTopic{Name: name, Title: lang.Text(key+"title", nil), Why: lang.Text(key+"why", nil)}
	for n := 1; lang.Has(key + strconv.Itoa(n)); n++ {
		t.Steps = append(t.Steps, lang.Text(key+strconv.Itoa(n), nil))
	}
	return t
}

func (v *visit) help() error {
	m := helpIndex{Version: v.s.config.Version}
	for _, name := range helpTopics() {
		m.Topics = append(m.Topics, topicOf(v.lang, name))
	}
	return v.render("help/index", m)
}

func (v *visit) helpTopic() error {
	name := v.param("topic")
	if !slices.Contains(helpTopics(), name) {
		return fault.New(fault.NotFound, "fault.ui.no_page")
	}
	t := topicOf(v.lang, name)
	if name == "phones" || name == "ladder" {
		t.Words = wordList{v.s.config.Box.CA().Words, true}
	}
	return v.render("help/topic", t)
}
