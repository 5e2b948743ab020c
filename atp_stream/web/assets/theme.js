// Before the first paint, so that a dark page never flashes white: not a module, which would come after it.
(() => {
  const root = document.documentElement;
  const KEY = "atp-theme";
  const stored = () => {
    try {
      return localStorage.getItem(KEY) ?? "auto";
    } catch {
      return "auto"; // storage is switched off
    }
  };
  root.dataset.theme = stored();
  addEventListener("DOMContentLoaded", () => {
    const choice = document.getElementById("theme");
    choice.value = root.dataset.theme;
    choice.addEventListener("change", () => {
      root.dataset.theme = choice.value;
      try {
        localStorage.setItem(KEY, choice.value);
      } catch {
        // it holds for this page then
      }
    });
  });
})();
