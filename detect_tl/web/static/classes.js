// The list of classes to look for.

export class Classes {
  // changed(ids): what is chosen now; null for everything.
  constructor(classes, changed) {
    this.changed = changed;
    this.list = document.getElementById("list");
    this.word = document.getElementById("chosen");
    this.boxes = classes.map((one) => this.add(one));
    this.list.addEventListener("change", () => this.tell());
    document.getElementById("search").addEventListener("input", (event) => {
      const text = event.target.value.trim().toLowerCase();
      this.boxes.forEach((box, k) => {
        box.closest("li").hidden = !classes[k].name.toLowerCase().includes(text);
      });
    });
  }

  add({ name, colour }) {
    const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
    const dot = document.createElement("i");
    dot.style.background = colour;
    const word = Object.assign(document.createElement("span"), { textContent: name });
    const label = Object.assign(document.createElement("label"), { className: "check" });
    label.append(box, dot, word);
    const item = document.createElement("li");
    item.append(label);
    this.list.append(item);
    return box;
  }

  // Check, or not, all that the search shows.
  setAll(checked) {
    this.boxes.forEach((box) => {
      if (!box.closest("li").hidden) box.checked = checked;
    });
    this.tell();
  }

  tell() {
    const ids = this.boxes.flatMap((box, k) => (box.checked ? [k] : []));
    const all = ids.length === this.boxes.length;
    this.word.textContent = all ? "everything" : ids.length ? `${ids.length} of ${this.boxes.length} classes` : "nothing";
    this.changed(all ? null : ids);
  }
}
