// Views of the standard ipywidgets that our pages use, as plain accessible HTML. To support another, add it to VIEWS.
let made = 0;

/** An element with properties and children. */
export function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/** A radio group that looks like buttons. */
function toggleButtons(model) {
  const name = `aa-choice-${++made}`;
  const group = element("fieldset", { className: "aa-choice" });
  const options = element("div", { className: "aa-options" });
  group.append(element("legend", { textContent: model.get("description") }), options);
  const option = (label, index) => {
    const input = element("input", { type: "radio", name, value: index, checked: model.get("index") === index });
    input.addEventListener("change", () => choose(model, index));
    return element("label", {}, input, element("span", { textContent: label }));
  };
  const offer = () => options.replaceChildren(...model.get("_options_labels").map(option));
  const pick = () => options.querySelectorAll("input").forEach((input, index) => {
    input.checked = model.get("index") === index;
  });
  model.on("change:_options_labels", offer);
  model.on("change:index", pick);
  model.on("change:disabled", () => (group.disabled = model.get("disabled")));
  offer();
  return group;
}

function choose(model, index) {
  model.set("index", index);
  model.save_changes();
  model.models.dispatch("chosen");
}

const box = (className) => (model, view) =>
  element("div", { className }, ...model.get("children").map((child) => view(model.models.find(child))));

export const VIEWS = {
  ToggleButtonsView: toggleButtons,
  BoxView: box("aa-row"),
  HBoxView: box("aa-row"),
  VBoxView: box("aa-column"),
};
