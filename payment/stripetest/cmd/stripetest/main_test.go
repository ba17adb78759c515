package main

import (
	"bufio"
	"context"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestServes(t *testing.T) {
	got := make(chan string, 10)
	site := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		assert.NotEmpty(t, r.Header.Get("Stripe-Signature"))
		got <- regexp.MustCompile(`"type": "(product[^"]*)"`).FindStringSubmatch(string(body))[1]
	}))
	defer site.Close()

	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"-addr", "127.0.0.1:0", "-webhook", site.URL, "-key", "sk_test_1234567890abcdef", "-url", "http://pay.test", "-chaos", "-seed", "7"}, in, io.Discard)
		in.Close()
	}()
	var banner strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "stripe trigger") {
		banner.WriteString(lines.Text() + "\n")
	}
	assert.Contains(t, banner.String(), "sk_test_1234567890abcdef")
	assert.Contains(t, banner.String(), "http://pay.test/pay/SESSION")
	assert.Contains(t, banner.String(), site.URL)
	assert.Regexp(t, `seed +7\n`, banner.String())
	base := regexp.MustCompile(`API +(http://127\.0\.0\.1:\d+)`).FindStringSubmatch(banner.String())
	require.NotNil(t, base, banner.String())
	go io.Copy(io.Discard, out) // the empty line at the end

	req, err := http.NewRequest("POST", base[1]+"/v1/products", strings.NewReader("name=Care"))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("sk_test_1234567890abcdef", "")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, 200, resp.StatusCode)
	assert.Equal(t, "product.created", <-got)

	statuses := map[int]bool{}
	for range 300 {
		req, err := http.NewRequest("GET", base[1]+"/v1/events", nil)
		require.NoError(t, err)
		req.SetBasicAuth("sk_test_1234567890abcdef", "")
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			statuses[resp.StatusCode] = true
		}
	}
	for _, status := range []int{429, 500, 503} {
		assert.True(t, statuses[status], status)
	}

	cancel()
	assert.NoError(t, <-ended)
	_, err = http.Get(base[1])
	assert.Error(t, err)
}

// The flags are told where people read who have not started it yet.
func TestDocTellsEveryFlag(t *testing.T) {
	var help strings.Builder
	require.ErrorIs(t, run(context.Background(), []string{"-h"}, io.Discard, &help), flag.ErrHelp)
	source, err := os.ReadFile("main.go")
	require.NoError(t, err)
	names := func(pattern, text string) (found []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			found = append(found, m[1])
		}
		return found
	}
	assert.ElementsMatch(t, names(`(?m)^  -(\w+)`, help.String()), names(`(?m)^//\t-(\w+)`, string(source)))
}

func TestRefuses(t *testing.T) {
	for name, args := range map[string][]string{
		"an unknown flag":   {"-colour", "red"},
		"an argument":       {"red"},
		"a live key":        {"-key", "sk_live_1"},
		"a webhook far off": {"-webhook", "https://example.com/hook"},
		"no address":        {"-addr", "nowhere"},
		"all addresses":     {"-addr", ":0"},
		"an odd address":    {"-url", "pay.test"},
	} {
		ctx, cancel := context.WithCancel(context.Background())
		if args[0] != "-addr" {
			args = append([]string{"-addr", "127.0.0.1:0"}, args...)
		}
		assert.Error(t, run(ctx, args, io.Discard, io.Discard), name)
		cancel()
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	assert.NoError(t, run(ctx, []string{"-addr", "127.0.0.1:0", "-remote", "-webhook", "https://example.com/hook"}, io.Discard, io.Discard))
}
