// Package jsonfuzz changes JSON in the ways that fuzz tests need.
package jsonfuzz

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// Hostile are values that a reader may trip over.
var Hostile = []string{
	`null`, `true`, `0`, `20000`, `-5`, `4500.5`, `5e3`, `9223372036854775807`, `1000000000000001`, `99999999999999999999`,
	`""`, `"x"`, `"\u0000"`, `"\ud800"`, `"` + strings.Repeat("x", 256) + `"`, `{}`, `[]`, `[null]`,
	// words of Stripe's
	`"usd"`, `"eur"`, `"card"`, `"open"`, `"complete"`, `"expired"`, `"paid"`, `"unpaid"`, `"no_payment_required"`, `"succeeded"`, `"processing"`,
	`{"id":"pi_1","status":"succeeded"}`, `{"type":"\u0000"}`, `{"type":"link"}`, `{"payment_method_details":{"type":"\u0000"}}`,
	`{"code":"\u0000"}`, `{"data":[{"payment_method_details":{"type":"ideal"}}]}`, `{"source_currency":"eur","amount_total":5}`,
	`{"userId":"u1","amountToPay":"45.00"}`,
}

// Set returns JSON with another value in one place, counted over all values in the
// order in which they begin, and over again. A value that is no JSON stands for one
// of the Hostile.
func Set(raw []byte, place uint16, value string, pick uint8) []byte {
	if !json.Valid([]byte(value)) {
		value = Hostile[int(pick)%len(Hostile)]
	}
	count := rewriter{place: -1}
	if rewrite(raw, &count) == nil {
		return nil
	}
	return rewrite(raw, &rewriter{place: int(place) % count.at, value: value})
}

// Turn returns JSON with the members of each object the other way round, and an
// unknown one in each, but for metadata. It returns nil for what is no JSON, and
// when encoding/json would take two names in an object for the same, since then
// their order counts.
func Turn(raw []byte) []byte {
	return rewrite(raw, &rewriter{turn: true, place: -1})
}

type rewriter struct {
	turn  bool
	place int
	value string

	dec *json.Decoder
	at  int
}

func rewrite(raw []byte, r *rewriter) []byte {
	if !json.Valid(raw) || !utf8.Valid(raw) {
		return nil
	}
	r.dec = json.NewDecoder(bytes.NewReader(raw))
	r.dec.UseNumber()
	var out bytes.Buffer
	if !r.write(&out, r.turn) {
		return nil
	}
	return out.Bytes()
}

// write copies one value, if it can.
func (r *rewriter) write(out *bytes.Buffer, extend bool) bool {
	r.at++
	if r.at-1 == r.place {
		out.WriteString(r.value)
		var old json.RawMessage
		return r.dec.Decode(&old) == nil
	}
	tok, err := r.dec.Token()
	if err != nil {
		return false
	}
	var parts [][]byte
	switch tok {
	case json.Delim('{'):
		var names []string
		for r.dec.More() {
			key, err := r.dec.Token()
			name, ok := key.(string)
			// encoding/json takes names for the same that EqualFold does.
			if err != nil || !ok || slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) }) {
				return false
			}
			names = append(names, name)
			text, _ := json.Marshal(name)
			member := bytes.NewBuffer(append(text, ':'))
			if !r.write(member, r.turn && !strings.EqualFold(name, "metadata")) {
				return false
			}
			parts = append(parts, member.Bytes())
		}
		if extend {
			parts = append(parts, []byte(`"an_unknown_member":{"id":["x"],"status":null}`))
		}
		if r.turn {
			slices.Reverse(parts)
		}
	case json.Delim('['):
		for r.dec.More() {
			var one bytes.Buffer
			if !r.write(&one, extend) {
				return false
			}
			parts = append(parts, one.Bytes())
		}
	default:
		text, err := json.Marshal(tok)
		out.Write(text)
		return err == nil
	}
	end, err := r.dec.Token()
	if err != nil {
		return false
	}
	out.WriteString(tok.(json.Delim).String())
	out.Write(bytes.Join(parts, []byte(",")))
	out.WriteString(end.(json.Delim).String())
	return true
}
