// The forms work without this script. It only keeps visitors informed: what a
// choice costs today, and that a click was heard. That a second click books nothing
// twice is the server's business.
"use strict";

for (const form of document.querySelectorAll("form[data-checkout]")) {
  const button = form.querySelector("button");
  const label = button.textContent;
  form.addEventListener("submit", () => {
    button.setAttribute("aria-disabled", "true");
    button.textContent = "Opening secure checkout…";
  });
  // The page may come back from the browser's cache with the Back button.
  window.addEventListener("pageshow", () => {
    button.removeAttribute("aria-disabled");
    button.textContent = label;
  });

  const sum = form.querySelector("[data-sum]");
  if (!sum) continue;
  const add = () => {
    const { full, half, rest } = form.querySelector("[name=serviceId]:checked").dataset;
    const inFull = form.querySelector("[name=paymentOption]:checked").value === "full";
    sum.querySelector("[data-now]").textContent = inFull ? full : half;
    sum.querySelector("[data-rest]").textContent = inFull ? "" : `and ${rest} at your visit`;
  };
  form.addEventListener("change", add);
  window.addEventListener("pageshow", add);
  sum.hidden = false;
}
