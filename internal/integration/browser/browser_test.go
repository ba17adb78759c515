// Package browser clicks through the real bookingserver in a real browser: Debian's
// Chromium, headless, with the stand-in for Stripe. Every page and state is also
// looked at by axe-core, which knows what keeps people out. `scripts/test` installs
// both; a test that misses one of them skips and says so (see package servers).
//
// UPDATE_SCREENSHOTS=1 writes the pictures in docs/screenshots anew.
package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/servers"
)

const (
	patience    = 40 * time.Second // for anything, on a busy machine
	screenshots = "../../../docs/screenshots"
	axe         = "../../../.bin/axe-core/node_modules/axe-core/axe.min.js"
)

// chromium is one browser for all tests. It ends with the test binary.
var chromium = sync.OnceValues(func() (context.Context, error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
	)
	ctx, _ := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closeChromium = chromedp.NewContext(ctx)
	return ctx, chromedp.Do(ctx)
})

var closeChromium = func() {}

// tab is a page in the browser.
type tab struct {
	t     *testing.T
	shop  *shop
	ctx   context.Context
	close context.CancelFunc
	phone bool

	mu       sync.Mutex
	troubles []string       // what the browser complained of
	asked    map[string]int // requests by method and path
}

// visitor opens the browser for somebody who was never here.
func (s *shop) visitor(t *testing.T) *tab {
	t.Helper()
	parent, err := chromium()
	require.NoError(t, err)
	return s.tab(t, parent, chromedp.WithNewBrowserContext())
}

// tab opens a tab. Until the test ends the browser must have nothing to complain of
// but what the test excuses.
func (s *shop) tab(t *testing.T, parent context.Context, options ...chromedp.ContextOption) *tab {
	t.Helper()
	p := &tab{t: t, shop: s, asked: map[string]int{}}
	p.ctx, p.close = chromedp.NewContext(parent, options...)
	t.Cleanup(func() {
		p.mu.Lock()
		assert.Empty(t, p.troubles)
		p.mu.Unlock()
		if t.Failed() {
			t.Logf("the page:\n%s\nas a picture: %s", p.text(), p.lastPicture())
		}
		p.close()
	})
	require.NoError(t, chromedp.Listen(p.ctx, p.hear))
	p.do(chromedp.EmulateViewport(880, 760))
	p.media("screen")
	return p
}

// onPhone takes the page to a phone.
func (p *tab) onPhone() {
	p.t.Helper()
	p.phone = true
	p.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch))
}

// media is "screen" or "print". Nothing moves, so that pictures don't differ.
func (p *tab) media(media string) {
	p.do(call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Media:    media,
		Features: []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}},
	}))
}

func (p *tab) hear(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	trouble := func(parts ...any) { p.troubles = append(p.troubles, strings.TrimSpace(fmt.Sprintln(parts...))) }
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		said := []any{"console." + e.Type.String()}
		for _, a := range e.Args {
			said = append(said, string(a.Value), a.Description)
		}
		trouble(said...)
	case *runtime.EventExceptionThrown:
		trouble("exception", e.ExceptionDetails.Text, e.ExceptionDetails.Exception.Description)
	case *log.EventEntryAdded: // answers of 400 and above among them
		trouble(e.Entry.Level, e.Entry.Text, e.Entry.URL)
	case *network.EventLoadingFailed:
		trouble("request failed", e.ErrorText, e.Type, e.BlockedReason)
	case *network.EventRequestWillBeSent:
		u, err := url.Parse(e.Request.URL)
		if err != nil || u.Scheme+"://"+u.Host != p.shop.url && u.Scheme+"://"+u.Host != p.shop.stripe.URL {
			trouble("request to elsewhere", e.Request.URL)
			return
		}
		p.asked[e.Request.Method+" "+u.Path]++
	}
}

// excuse strikes out troubles, all of which must be of this kind.
func (p *tab) excuse(kind string) {
	p.t.Helper()
	p.text() // what happened before is told before the answer
	p.mu.Lock()
	defer p.mu.Unlock()
	require.NotEmpty(p.t, p.troubles, "there was no %s", kind)
	for _, trouble := range p.troubles {
		require.Contains(p.t, trouble, kind)
	}
	p.troubles = nil
}

func (p *tab) requests(methodAndPath string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[methodAndPath]
}

func call[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, command, params)
		return err
	})
}

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	run(p, chromedp.Steps(steps...))
}

func run[T any](p *tab, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	require.NoError(p.t, err)
	return v
}

// eval is the value of an expression in the page.
func eval[T any](p *tab, expression string) T {
	p.t.Helper()
	return run(p, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

func quoted(s string) string { b, _ := json.Marshal(s); return string(b) }

// visit types an address of the shop's.
func (p *tab) visit(path string) {
	p.t.Helper()
	p.do(chromedp.Navigate(p.shop.url + path))
}

// click clicks the middle of the first thing in sight that begins with these words.
func (p *tab) click(words string) {
	p.t.Helper()
	p.do(chromedp.Click(chromedp.JSPath(`[...document.querySelectorAll("a, button, label")].filter(
		(e) => e.checkVisibility() && e.innerText.trim().startsWith(` + quoted(words) + `)).slice(0, 1)`)))
}

// text is what the page shows once all of it is there.
func (p *tab) text() string {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.readyState === "complete" ? document.body.innerText : ""`))
	if err != nil {
		return "(" + err.Error() + ")" // it is on the way to another page
	}
	return text
}

// see waits until the page shows all of this.
func (p *tab) see(texts ...string) {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		shown := p.text()
		i := slices.IndexFunc(texts, func(text string) bool { return !strings.Contains(shown, text) })
		if i < 0 {
			return
		}
		select {
		case <-deadline:
			require.FailNow(p.t, "the page does not show "+quoted(texts[i]))
		case <-time.After(20 * time.Millisecond): // between two looks
		}
	}
}

// facts are the terms on the page and what stands behind them.
func (p *tab) facts() map[string]string {
	p.t.Helper()
	return eval[map[string]string](p, `Object.fromEntries([...document.querySelectorAll("dl > div")].map(
		(d) => [d.querySelector("dt").innerText, d.querySelector("dd").innerText]))`)
}

// look sees that everybody can use the page as it is now: axe-core finds nothing,
// it needs no sideways scrolling, and each button can be reached and hit.
func (p *tab) look() {
	p.t.Helper()
	path, err := filepath.Abs(axe)
	require.NoError(p.t, err)
	script, err := os.ReadFile(servers.Program(p.t, path))
	require.NoError(p.t, err)
	eval[bool](p, string(script)+"; true")
	for _, finding := range eval[[]string](p, `axe.run({ preload: false, resultTypes: ["violations"] }).then((r) => r.violations.map(
		(v) => v.impact + ": " + v.id + ": " + v.nodes.map((n) => n.html + " " + n.failureSummary).join("\n")))`) {
		p.t.Error(finding)
	}
	for _, finding := range eval[[]string](p, `(() => {
		const found = [], width = document.documentElement.clientWidth; // innerWidth grows with what is too wide
		if (document.documentElement.scrollWidth > width) found.push("the page is wider than its window");
		for (const e of document.querySelectorAll(".button, button, label")) {
			if (!e.checkVisibility()) continue;
			e.scrollIntoView({ block: "center" });
			const r = e.getBoundingClientRect();
			if (r.height < 44) found.push(e.innerText + " is too small for a finger: " + r.height);
			if (r.left < 0 || r.right > width) found.push(e.innerText + " is not whole in the window");
			if (!e.contains(document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2))) found.push(e.innerText + " is covered");
		}
		scrollTo(0, 0);
		return found;
	})()`) {
		p.t.Error(finding)
	}
}

// picture keeps a picture of the page for the README, and looks at it.
func (p *tab) picture(name string) {
	p.t.Helper()
	file := filepath.Join(screenshots, name+".png")
	if os.Getenv("UPDATE_SCREENSHOTS") == "1" {
		take := chromedp.FullScreenshot(100)
		if p.phone {
			take = phoneScreen
		}
		require.NoError(p.t, os.WriteFile(file, run(p, take), 0o644))
	}
	require.FileExists(p.t, file, "UPDATE_SCREENSHOTS=1 makes it")
	p.look()
}

// phoneScreen is what a phone shows: its whole page would be a long strip, and all
// of its dots a large file.
func phoneScreen(ctx context.Context, t *chromedp.Target) ([]byte, error) {
	r, err := cdp.Call(ctx, t, page.CaptureScreenshot, page.CaptureScreenshotParams{
		Clip: &page.Viewport{Width: 390, Height: 844, Scale: 0.75},
	})
	if err != nil {
		return nil, err
	}
	return r.Data, nil
}

// TestPictures: the README shows each one, and none that is not there.
func TestPictures(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	require.NoError(t, err)
	var shown, there []string
	for _, match := range regexp.MustCompile(`docs/screenshots/[\w-]+\.png`).FindAllString(string(readme), -1) {
		shown = append(shown, filepath.Base(match))
	}
	files, err := os.ReadDir(screenshots)
	require.NoError(t, err)
	for _, file := range files {
		there = append(there, file.Name())
		info, err := file.Info()
		require.NoError(t, err)
		assert.LessOrEqual(t, info.Size(), int64(150<<10), file.Name())
	}
	slices.Sort(shown)
	assert.Equal(t, there, slices.Compact(shown))
}

// lastPicture is a file that shows the page as it was when the test failed.
func (p *tab) lastPicture() string {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		return err.Error()
	}
	file, err := os.CreateTemp("", "stripebooking-*.png")
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	if _, err := file.Write(png); err != nil {
		return err.Error()
	}
	return file.Name()
}
