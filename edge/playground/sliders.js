/** One slider for each attribute. Moving it sets the attribute; its checkbox leaves it to the model again. */
export class SliderPanel {
  #container;
  #rows = [];
  #model = "";

  constructor(container) {
    this.#container = container;
  }

  /** @param attributes the data of `GET /v1/attributes` */
  build(attributes) {
    for (const { root } of this.#rows) root.remove();
    this.#rows = attributes.map((attribute) => this.#buildRow(attribute));
    this.#container.append(...this.#rows.map((row) => row.root));
  }

  /** The levels that are set, for a request. */
  levels() {
    const set = this.#rows.filter((row) => row.checkbox.checked);
    return Object.fromEntries(set.map((row) => [row.attribute.name, row.range.valueAsNumber]));
  }

  reset() {
    for (const row of this.#rows) row.checkbox.checked = false;
    this.showDefaults(this.#model);
  }

  /** Shows, where nothing is set, what this model does by itself. */
  showDefaults(model) {
    this.#model = model;
    for (const row of this.#rows) this.#show(row);
  }

  #buildRow(attribute) {
    const { name, minimum, maximum, meaning } = attribute;
    const root = document.createElement("div");
    const [checkbox, range] = [document.createElement("input"), document.createElement("input")];
    const [label, output] = [document.createElement("label"), document.createElement("output")];
    const row = { attribute, root, checkbox, range, output };
    root.className = "attribute";
    root.title = meaning;
    Object.assign(checkbox, { type: "checkbox", ariaLabel: `Set ${name}` });
    Object.assign(range, { type: "range", id: `attribute-${name}`, title: meaning });
    Object.assign(range, { min: minimum, max: maximum, step: 1 });
    Object.assign(label, { htmlFor: range.id, textContent: name });
    output.htmlFor.add(range.id);
    range.addEventListener("input", () => {
      checkbox.checked = true;
      this.#show(row);
    });
    checkbox.addEventListener("change", () => this.#show(row));
    root.append(checkbox, label, range, output);
    return row;
  }

  #show({ attribute, root, checkbox, range, output }) {
    const set = checkbox.checked;
    const fallback = attribute.defaults[this.#model] ?? null;
    if (!set) range.value = String(fallback ?? (attribute.minimum + attribute.maximum) / 2);
    root.classList.toggle("unset", !set);
    output.value = set ? range.value : fallback === null ? "left out" : `default ${fallback}`;
  }
}
