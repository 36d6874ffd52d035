// Updates of page elements. They change only what is new, so that nothing flickers and selections survive. Texts are never parsed as
// HTML, because names of tables come from the source.

/** @param {string} id */
export const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Shows text in backticks as code. */
export function setTextWithCode(element, text) {
  if (element.dataset.text === text) return;
  element.dataset.text = text;
  const parts = text.split('`').map((part, index) => {
    if (index % 2 === 0) return part;
    const code = document.createElement('code');
    code.textContent = part;
    return code;
  });
  element.replaceChildren(...parts);
}

const tones = {
  streaming: 'is-good',
  snapshotting: 'is-busy',
  backfilling: 'is-busy',
  suspended: 'is-bad',
};

/** The tone of a state of a table. */
export function toneOf(state) {
  return tones[state] ?? '';
}

export function setTone(element, tone) {
  for (const each of ['is-good', 'is-busy', 'is-warn', 'is-bad', 'is-soft'])
    element.classList.toggle(each, each === tone);
}

/**
 * Makes the children of `list` match `things`, in their order. An existing element is reused for the thing with its key.
 * @param {HTMLElement} list
 */
export function fillList(list, things, keyOf, make, update) {
  const before = new Map([...list.children].map((child) => [/** @type {HTMLElement} */ (child).dataset.key, child]));
  let next = list.firstElementChild;
  for (const thing of things) {
    const key = keyOf(thing);
    let element = before.get(key);
    before.delete(key);
    if (element === undefined) {
      element = make(thing);
      element.dataset.key = key;
    }
    update(element, thing);
    if (element === next) next = next.nextElementSibling;
    else list.insertBefore(element, next);
  }
  for (const gone of before.values()) gone.remove();
}
