// Waits for the booking after the customer came back from paying. The page only
// asks; what makes the booking is the webhook (or, in -mode confirm, the call
// that this page makes).
"use strict";

(() => {
  const page = document.querySelector("[data-session]");
  if (!page) return; // without a session there is nothing to ask for

  const session = page.dataset.session;
  const mode = page.dataset.mode;
  const tries = 10;
  const interval = 1000; // milliseconds from one try to the next
  const deadline = Date.now() + tries * interval;
  let unpaidAnswers = 0;
  const options = { full: "Full Payment", half: "50% Advance" };

  // show makes one of the page's parts visible and takes the reader there.
  const show = (id) => {
    for (const part of page.querySelectorAll("section")) part.hidden = part.id !== id;
    document.title = page.querySelector("#" + id + " h1").textContent + " · Carevia";
    page.querySelector("#" + id + " h1").focus();
  };
  const text = (name, value) => {
    for (const node of page.querySelectorAll(`[data-field="${name}"]`)) node.textContent = value;
  };
  const fail = (reason, detail) => {
    text("reason", reason);
    text("detail", detail);
    show("failure");
  };

  const ask = async (path) => {
    const response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ sessionId: session, wait: interval / 1000 }), // it answers at once when there is news
      signal: AbortSignal.timeout(Math.max(1000, deadline - Date.now())),
    });
    return { status: response.status, body: await response.json() };
  };

  // settled shows the answer and returns true, or returns false when it is worth
  // asking again.
  const settled = ({ status, body }) => {
    const data = body.data || {};
    if (status === 200 && data.bookingId) {
      text("bookingId", data.bookingId);
      text("serviceName", data.serviceName);
      text("amount", `${data.amount} ${data.currency.toUpperCase()}`);
      text("paymentOption", options[data.paymentOption] || data.paymentOption);
      page.querySelector("[data-booking-link]").href = "/booking/" + encodeURIComponent(data.bookingId);
      show("success");
      return true;
    }
    if (status === 409) {
      text("attention", body.message);
      const link = page.querySelector("[data-attention-link]");
      link.hidden = !data.bookingId;
      if (data.bookingId) link.href = "/booking/" + encodeURIComponent(data.bookingId);
      show("attention");
      return true;
    }
    if (status >= 400 && status < 500) {
      // The news that it is paid may be a moment behind the customer.
      const unpaid = body.message === "Payment not completed";
      if (unpaid && ++unpaidAnswers < 4) return false;
      const slow = " If you chose to pay by bank, your booking is confirmed as soon as the money arrives.";
      fail("Payment confirmation failed", unpaid ? body.message + "." + slow : body.message || "");
      return true;
    }
    return false;
  };

  const run = async () => {
    const path = mode === "confirm" ? "/api/payment/confirm" : "/api/payment/verify";
    let answered = false; // by a server that was well
    for (let i = 0; i < tries && Date.now() < deadline; i++) {
      const next = Date.now() + interval;
      try {
        const answer = await ask(path);
        if (settled(answer)) return;
        answered = answer.status === 200;
      } catch {
        answered = false;
      }
      await new Promise((wake) => setTimeout(wake, Math.max(0, Math.min(next, deadline) - Date.now())));
    }
    if (mode === "both") {
      try {
        if (settled(await ask("/api/payment/confirm"))) return;
      } catch {
        answered = false;
      }
    }
    if (answered) show("waiting");
    else fail("Payment confirmation failed", "Failed to verify payment. Please contact support if you were charged.");
  };

  page.querySelector("[data-print]").addEventListener("click", () => window.print());
  run();
})();
