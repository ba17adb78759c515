package jsonfuzz

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSet(t *testing.T) {
	const raw = `{"a": [1, {"b": null}], "c": "d"}`
	for place, want := range []string{`7`, `{"a":7,"c":"d"}`, `{"a":[7,{"b":null}],"c":"d"}`, `{"a":[1,7],"c":"d"}`, `{"a":[1,{"b":7}],"c":"d"}`, `{"a":[1,{"b":null}],"c":7}`} {
		assert.Equal(t, want, string(Set([]byte(raw), uint16(place), "7", 0)))
		assert.Equal(t, want, string(Set([]byte(raw), uint16(place+6), "7", 0)))
	}
	assert.Equal(t, `{"a":true,"c":"d"}`, string(Set([]byte(raw), 1, "{", 1)))
	assert.Nil(t, Set([]byte(raw+"}"), 1, "7", 0))
	for _, value := range Hostile {
		assert.True(t, json.Valid([]byte(value)), value)
	}
}

func TestTurn(t *testing.T) {
	const more = `"an_unknown_member":{"id":["x"],"status":null},`
	assert.Equal(t, `{`+more+`"c":"é","metadata":{"y":"2","x":"1"},"a":[1.50,{`+more+`"b":null}]}`,
		string(Turn([]byte(`{"a":[1.50,{"b":null}],"metadata":{"x":"1","y":"2"},"c":"é"}`))))
	for _, twins := range []string{`{"a":1,"a":2}`, `{"a":1,"A":2}`, `[{"s":1,"ſ":2}]`, `{"k":1,"\u212a":2}`, `{`, `{}}`, `{} {}`, ``, "\"\xff\""} {
		assert.Nil(t, Turn([]byte(twins)), twins)
	}
}
