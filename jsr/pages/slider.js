"use strict";

// Figures of two pictures, of which a range shows the left part of one and the right of the other.
function addSlider(figure) {
  const viewport = figure.querySelector(".viewport");
  const stack = figure.querySelector(".stack");
  const [before, after] = stack.querySelectorAll("img");
  const controls = document.createElement("div");
  controls.className = "controls";
  controls.innerHTML =
    '<label class="split"><span>Before</span><input type="range" min="0" max="100" value="50"' +
    ' aria-label="How much of the picture is shown as before"><span>After</span></label>' +
    '<label>Zoom <select><option value="0">fit</option><option value="1">100 %</option>' +
    '<option value="2">200 %</option><option value="4">400 %</option>' +
    '<option value="8">800 %</option></select></label>';
  viewport.after(controls);
  const divider = document.createElement("div");
  divider.className = "divider";
  stack.append(divider);
  const range = controls.querySelector("input");
  const zoom = controls.querySelector("select");

  const shownWidth = () => Math.min(viewport.clientWidth, stack.clientWidth);

  function split() {
    // Of what is seen, so that the line stays in sight when zoomed.
    const x = viewport.scrollLeft + (range.value / 100) * shownWidth();
    after.style.clipPath = `inset(0 0 0 ${x}px)`;
    divider.style.left = `${x}px`;
    range.setAttribute("aria-valuetext", `${range.value} % before, ${100 - range.value} % after`);
  }

  function layout() {
    const factor = Number(zoom.value);
    const natural = before.getAttribute("width") / (window.devicePixelRatio || 1);
    viewport.classList.toggle("zoomed", factor > 0);
    if (factor > 0) viewport.tabIndex = 0; // so that keys scroll it
    else viewport.removeAttribute("tabindex");
    stack.style.width = `${factor > 0 ? natural * factor : Math.min(natural, viewport.clientWidth)}px`;
    split();
  }

  function drag(event) {
    if (!(event.buttons & 1) || (event.pointerType === "touch" && zoom.value !== "0")) return;
    const x = event.clientX - viewport.getBoundingClientRect().left;
    range.value = Math.round((100 * x) / Math.max(shownWidth(), 1));
    split();
  }

  before.draggable = after.draggable = false;
  range.addEventListener("input", split);
  zoom.addEventListener("change", layout);
  viewport.addEventListener("scroll", split);
  viewport.addEventListener("pointerdown", drag);
  viewport.addEventListener("pointermove", drag);
  new ResizeObserver(layout).observe(viewport);
  layout();
  return layout;
}
