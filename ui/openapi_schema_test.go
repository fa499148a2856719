package ui

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// schemaDoc is openapi.yaml with the part of JSON Schema (2020-12) that it uses. A
// keyword that is not checked here fails the test: a document that promises more
// than is tested is worth little.
type schemaDoc struct{ root map[string]any }

func readOpenAPI(t *testing.T) schemaDoc {
	t.Helper()
	var root map[string]any
	must(t, yaml.Unmarshal(openapi, &root))
	return schemaDoc{root}
}

// at walks down a path of keys; nil when there is none.
func (d schemaDoc) at(keys ...string) map[string]any {
	here := d.root
	for _, k := range keys {
		here = d.deref(here)
		next, _ := here[k].(map[string]any)
		if next == nil {
			return nil
		}
		here = next
	}
	return d.deref(here)
}

func (d schemaDoc) deref(node map[string]any) map[string]any {
	for {
		ref, ok := node["$ref"].(string)
		if !ok {
			return node
		}
		node = d.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
		if node == nil {
			panic("no " + ref)
		}
	}
}

// check says what is wrong with a value, by its place in it.
func (d schemaDoc) check(schema map[string]any, value any, place string) []string {
	faults, _ := d.evaluate(schema, value, place)
	return faults
}

// evaluate also tells which properties a schema knew, for unevaluatedProperties.
func (d schemaDoc) evaluate(schema map[string]any, value any, place string) (faults []string, known map[string]bool) {
	schema = d.deref(schema)
	known = map[string]bool{}
	wrong := func(format string, args ...any) {
		faults = append(faults, place+": "+fmt.Sprintf(format, args...))
	}
	object, _ := value.(map[string]any)
	for _, sub := range some2(schema["allOf"]) {
		f, k := d.evaluate(sub, value, place)
		faults = append(faults, f...)
		maps.Copy(known, k)
	}
	for keyword, rule := range schema {
		switch keyword {
		case "description", "title", "default", "example", "contentMediaType", "allOf", "unevaluatedProperties", "additionalProperties":
		case "type":
			if !isType(rule, value) {
				wrong("is no %v: %v", rule, value)
			}
		case "enum":
			if !slices.Contains(rule.([]any), value) {
				wrong("%v is none of %v", value, rule)
			}
		case "anyOf":
			if !slices.ContainsFunc(some2(rule), func(s map[string]any) bool { return len(d.check(s, value, place)) == 0 }) {
				wrong("fits none of its forms: %v", value)
			}
		case "properties":
			for name, sub := range rule.(map[string]any) {
				known[name] = true
				if v, ok := object[name]; ok {
					faults = append(faults, d.check(sub.(map[string]any), v, place+"."+name)...)
				}
			}
		case "required":
			for _, name := range rule.([]any) {
				if _, ok := object[name.(string)]; !ok && object != nil {
					wrong("lacks %v", name)
				}
			}
		case "items":
			if array, ok := value.([]any); ok {
				for i, v := range array {
					faults = append(faults, d.check(rule.(map[string]any), v, fmt.Sprintf("%s[%d]", place, i))...)
				}
			}
		default:
			if !limit(keyword, rule, value) {
				wrong("%v breaks %s %v", value, keyword, rule)
			}
		}
	}
	return append(faults, d.extra(schema, object, known, place)...), known
}

// extra finds properties that a closed schema does not know.
func (d schemaDoc) extra(schema, object map[string]any, known map[string]bool, place string) (faults []string) {
	for name, v := range object {
		if known[name] {
			continue
		}
		if schema["unevaluatedProperties"] == false || schema["additionalProperties"] == false {
			faults = append(faults, place+": "+name+" is not described")
		}
		if sub, ok := schema["additionalProperties"].(map[string]any); ok {
			faults = append(faults, d.check(sub, v, place+"."+name)...)
		}
	}
	return faults
}

func some2(list any) (out []map[string]any) {
	all, _ := list.([]any)
	for _, s := range all {
		out = append(out, s.(map[string]any))
	}
	return out
}

func isType(rule, value any) bool {
	if many, ok := rule.([]any); ok {
		return slices.ContainsFunc(many, func(one any) bool { return isType(one, value) })
	}
	switch rule {
	case "object":
		_, ok := value.(map[string]any)
		return ok
	case "array":
		_, ok := value.([]any)
		return ok
	case "string":
		_, ok := value.(string)
		return ok
	case "boolean":
		_, ok := value.(bool)
		return ok
	case "null":
		return value == nil
	case "number":
		_, ok := number(value)
		return ok
	case "integer":
		n, ok := number(value)
		return ok && n == math.Trunc(n)
	}
	panic(fmt.Sprint("type ", rule))
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case float64:
		return n, true
	case int: // from YAML
		return float64(n), true
	}
	return 0, false
}

// limit checks the keywords with a bound. They say nothing about other types.
func limit(keyword string, rule, value any) bool {
	text, isText := value.(string)
	bound, _ := number(rule)
	n, isNumber := number(value)
	array, isArray := value.([]any)
	object, isObject := value.(map[string]any)
	switch keyword {
	case "minimum":
		return !isNumber || n >= bound
	case "maximum":
		return !isNumber || n <= bound
	case "minLength":
		return !isText || utf8.RuneCountInString(text) >= int(bound)
	case "maxLength":
		return !isText || utf8.RuneCountInString(text) <= int(bound)
	case "minItems":
		return !isArray || len(array) >= int(bound)
	case "maxItems":
		return !isArray || len(array) <= int(bound)
	case "minProperties":
		return !isObject || len(object) >= int(bound)
	case "pattern":
		return !isText || regexp.MustCompile(rule.(string)).MatchString(text)
	case "format":
		layout := map[any]string{"date-time": time.RFC3339, "date": "2006-01-02"}[rule]
		if layout == "" {
			panic(fmt.Sprint("format ", rule))
		}
		_, err := time.Parse(layout, text)
		return !isText || err == nil
	}
	panic("the keyword " + keyword + " is not checked")
}

func TestTheSchemaCheckFails(t *testing.T) {
	d := readOpenAPI(t)
	for name, value := range map[string]any{
		"Health":  map[string]any{"state": "asleep"},
		"OnlyID":  map[string]any{"id": "x", "name": "y"},
		"Added":   map[string]any{"id": "x", "household": nil},
		"Record":  map[string]any{"id": "x", "household": nil, "registered_at": "2026-03-01T08:15:00Z", "conflicts": []any{}, "version": "v", "given_nam": "x"},
		"Person":  map[string]any{"sex": "x"},
		"Token":   map[string]any{"token": "WP2:", "typed": "7K3Q-9F2M-XW5T", "generation": 0, "qr": "", "expires": "2026-01-01"},
		"Verdict": map[string]any{"verdict": "genuine", "reason": "", "reason_key": "", "generation": 1.5},
		"People":  map[string]any{"items": nil, "next": nil},
		"Problem": map[string]any{"type": "", "title": "", "status": 400, "detail": "", "class": "invalid", "key": "", "fields": map[string]any{"a": 1}},
	} {
		if len(d.check(d.at("components", "schemas", name), value, name)) == 0 {
			t.Errorf("%s: took %v", name, value)
		}
	}
}
