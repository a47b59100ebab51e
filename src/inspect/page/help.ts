/** Keys, in a dialog. */
import { useEffect, useRef } from 'preact/hooks';
import { html, type View } from './html.ts';

const KEYS: readonly (readonly [keys: string, does: string])[] = [
  ['j, ↓ / k, ↑', 'next, previous document; in a document: line'],
  ['Enter', 'open the document'],
  ['Esc', 'back to the table; close'],
  ['← / →', 'previous, next page of the table'],
  ['/', 'words to look for'],
  ['n / p', 'next, previous line that was removed or changed'],
  ['1, 2, 3, 0', 'right, should have stayed, should have gone, take back'],
  ['s / g / u', 'the chosen line should stay, should go, take back'],
  ['e', 'write a note'],
  ['f', 'changes, all lines, what is left'],
  ['[ / ]', 'previous, next document, while one is open'],
  ['?', 'this help'],
];

export function Help({ close }: { readonly close: () => void }): View {
  const box = useRef<HTMLDialogElement>(null);
  useEffect(() => box.current?.showModal(), []);
  return html`<dialog ref=${box} class="help" aria-labelledby="help-title" onClose=${close}>
    <h2 id="help-title">Keys</h2>
    <dl>${KEYS.map(([keys, does]) => html`<div key=${keys}><dt><kbd>${keys}</kbd></dt><dd>${does}</dd></div>`)}</dl>
    <p class="dim">The address has the view in it: a link reopens it while the inspector runs. A click on a bar filters, with shift it
      extends; a second click takes it back.</p>
    <button onClick=${() => box.current?.close()}>Close</button>
  </dialog>`;
}
