// Lays the pictures of each slider on each other; the slider fades from one to the next.
for (const slider of document.querySelectorAll(".slider")) {
  const layers = [...slider.querySelectorAll("figure")];
  const control = slider.querySelector(".control");
  const input = slider.querySelector("input");
  const output = slider.querySelector("output");
  if (layers.length < 2) continue;
  const show = () => {
    const at = Number(input.value);
    const below = Math.floor(at), share = at - below;
    layers.forEach((layer, index) => {
      const opacity = index === below ? 1 : index === below + 1 ? share : 0;
      layer.style.opacity = opacity;
      layer.style.visibility = opacity > 0 ? "visible" : "hidden";
      layer.querySelector("figcaption").style.visibility = index === Math.round(at) ? "visible" : "hidden";
    });
    const names = layers.map((layer) => layer.dataset.name);
    const text = share < 0.05 ? names[below] : `${Math.round(100 * share)} % ${names[below + 1]} over ${names[below]}`;
    output.textContent = text;
    input.setAttribute("aria-valuetext", text);
  };
  slider.classList.add("live");
  control.hidden = false;
  input.value = slider.dataset.start;
  input.addEventListener("input", show);
  show();
}
