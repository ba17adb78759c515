// Waits for the booking of a customer who has paid. The page only asks; what makes
// the booking is the webhook (or, in -mode confirm, the call that this page makes).
// Once it is there the page is loaded again, and the server shows it.
"use strict";

(() => {
  const page = document.querySelector("[data-session]");
  const { session, mode } = page.dataset;
  const tries = 10;
  const interval = 1000; // milliseconds from one try to the next
  const deadline = Date.now() + 2 * tries * interval; // when answers are slow

  // show makes another of the page's parts visible and takes the reader there.
  const show = (id) => {
    for (const part of page.querySelectorAll("section")) part.hidden = part.id !== id;
    const title = page.querySelector(`#${id} h1`);
    document.title = `${title.textContent} · Carevia`;
    title.focus();
  };
  const fail = (text) => {
    page.querySelector("[data-reason]").textContent = text;
    show("error");
  };

  const ask = async (path) => {
    const response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ sessionId: session, wait: (0.8 * interval) / 1000 }), // it answers at once when there is news
      signal: AbortSignal.timeout(5 * interval),
    });
    return { status: response.status, body: await response.json() };
  };

  // settled shows what an answer says and returns true, or returns false when it is
  // worth asking again.
  const settled = ({ status, body }) => {
    if (status >= 500 || (status === 200 && !body.data.processed)) return false;
    if (status === 200 || status === 409) location.reload();
    else if (body.data?.status === "processing") show("waiting"); // by a bank
    else fail(body.message || "Payment confirmation failed");
    return true;
  };

  const run = async () => {
    let answered = false; // by a server that was well
    const done = async (path) => {
      try {
        const answer = await ask(path);
        answered = answer.status === 200;
        return settled(answer);
      } catch {
        answered = false;
        return false;
      }
    };
    for (let i = 0; i < tries && Date.now() < deadline; i++) {
      const next = Date.now() + interval;
      if (await done(mode === "confirm" ? "/api/payment/confirm" : "/api/payment/verify")) return;
      await new Promise((wake) => setTimeout(wake, next - Date.now()));
    }
    if (mode === "both" && (await done("/api/payment/confirm"))) return;
    if (answered) show("waiting");
    else fail("Failed to verify payment. Please contact support if you were charged.");
  };
  run();
})();
