// Light, dark, or what the system says. Runs before the first paint, so that nothing flashes.
(() => {
  const root = document.documentElement;
  const apply = (theme) => {
    if (theme === "system") delete root.dataset.theme;
    else root.dataset.theme = theme;
  };
  const stored = localStorage.getItem("theme") ?? "system";
  apply(stored);
  addEventListener("DOMContentLoaded", () => {
    const select = document.getElementById("theme");
    select.value = stored;
    select.addEventListener("change", () => {
      localStorage.setItem("theme", select.value);
      apply(select.value);
      dispatchEvent(new Event("themechange"));
    });
  });
})();
