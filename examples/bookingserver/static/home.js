// The form works without this script. It only keeps an impatient visitor
// informed; that a second click books nothing twice is the server's business.
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
}
