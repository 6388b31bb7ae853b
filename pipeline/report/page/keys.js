// Keys, buttons, and the beginning.
const KEYS = [
  [['j', 'ArrowDown', 'ArrowRight'], 'j, \u2193, \u2192', 'next', () => move(1)],
  [['k', 'ArrowUp', 'ArrowLeft'], 'k, \u2191, \u2190', 'before', () => move(-1)],
  [['a'], 'a', 'accept; of what was dropped: add it', accept],
  [['r'], 'r', 'reject', reject],
  [[], '1 \u2013 9', '', null],
  [['u'], 'u', 'undo', undo],
  [['Enter'], 'Enter', 'open the picture', () => { if (!$('viewer').open) openViewer(); }],
  [['o'], 'o', 'in the picture: next object', () => { if ($('viewer').open) nextObject(1); }],
  [['m'], 'm', 'in the picture: masks on and off', () => { if ($('viewer').open) toggleMasks(); }],
  [['t'], 't', 'next gallery', () => { if (!$('viewer').open) turn(1); }],
  [['T'], 'T', 'gallery before', () => { if (!$('viewer').open) turn(-1); }],
  [['/'], '/', 'search', () => { if (!$('viewer').open) $('f-text').focus(); }],
  [['d'], 'd', 'download the corrections', download],
  [['?'], '?', 'this list', () => $('help').showModal()],
  [[], 'Esc', 'close', null],
];
function turn(step) {
  const names = [...$('tabs').children].map((tab) => tab.dataset.name);
  show(names[(names.indexOf(gallery) + step + names.length) % names.length]);
}
document.addEventListener('keydown', (event) => {
  const typing = event.target.matches && event.target.matches('input, select, textarea');
  if (event.ctrlKey || event.metaKey || event.altKey || $('help').open) return;
  if (typing) { if (event.key === 'Escape') event.target.blur(); return; }
  if (event.target.matches && event.target.matches('video, button:not(dialog:not([open]) *)') && ['Enter', 'ArrowLeft', 'ArrowRight', ' '].includes(event.key)) return;
  if (/^[1-9]$/.test(event.key)) { event.preventDefault(); if (HOT[event.key - 1] !== undefined) relabel(HOT[event.key - 1]); return; }
  const known = KEYS.find(([keys]) => keys.includes(event.key));
  if (!known) return;
  event.preventDefault();
  known[3]();
});
// After a click the keys are the page's again, not the button's or the list's.
let clicking = false;
document.addEventListener('pointerdown', () => { clicking = true; }, true);
document.addEventListener('keydown', () => { clicking = false; }, true);
for (const kind of ['click', 'change']) document.addEventListener(kind, (event) => {
  const one = event.target.closest && event.target.closest(kind === 'click' ? 'button' : 'select');
  if (clicking && one) one.blur();
}, true);
function options(select, pairs) {
  select.replaceChildren(...pairs.map(([value, words]) => { const one = make('option', '', words); one.value = value; return one; }));
}

load();
const KINDS = [...new Set(D.cards.flatMap((card) => card.why || []))].sort();
options($('f-class'), [['', 'all'], ...D.classes.map((name) => [name, name])]);
options($('v-class'), D.classes.map((name) => [name, name]));
options($('f-kind'), [['', 'all'], ['picture', 'pictures'], ['film', 'films'], ['open', 'not decided yet'], ['done', 'decided'], ...KINDS.map((why) => [why, why])]);
options($('f-sort'), Object.entries(SORTS).map(([key, [words]]) => [key, words]));
for (const [keys, name, words] of KEYS) $('keys').append(make('dt', '', name), make('dd', '', words || (name === 'Esc' ? 'close' : 'relabel: ' + HOT.map((one, place) => `${place + 1} ${one}`).join(', '))));
$('command').textContent = D.command;
for (const [name, words] of GALLERIES) {
  const count = name === 'films' ? D.films.length : D.cards.filter((card) => card.gallery === name).length;
  if (!count && name !== 'figures') continue;
  const tab = button(words + ' ', '', () => show(name));
  tab.append(make('small', '', name === 'figures' ? '' : String(count)));
  tab.setAttribute('role', 'tab');
  tab.dataset.name = name;
  $('tabs').append(tab);
}
for (const id of ['f-class', 'f-kind', 'f-sort']) $(id).addEventListener('change', fill);
for (const id of ['f-score-from', 'f-score-to', 'f-quality-from', 'f-quality-to', 'f-text']) $(id).addEventListener('input', fill);
$('f-clear').addEventListener('click', () => { $('filters').reset(); fill(); });
$('filters').addEventListener('submit', (event) => event.preventDefault());
$('undo').addEventListener('click', undo);
$('download').addEventListener('click', download);
$('help-button').addEventListener('click', () => $('help').showModal());
$('help-close').addEventListener('click', () => $('help').close());
$('by').addEventListener('input', () => { try { localStorage.setItem('masklet-report:by', $('by').value); } catch (error) { /* it is asked for again */ } });
$('v-before').addEventListener('click', () => move(-1));
$('v-next').addEventListener('click', () => move(1));
$('v-masks').addEventListener('click', toggleMasks);
$('v-close').addEventListener('click', () => $('viewer').close());
$('v-accept').addEventListener('click', accept);
$('v-reject').addEventListener('click', reject);
$('v-class').addEventListener('change', () => { relabel($('v-class').value); $('v-class').blur(); });
$('stage').addEventListener('click', (event) => clicked(event, event.shiftKey ? -1 : 1));
$('stage').addEventListener('contextmenu', (event) => clicked(event, -1));
window.addEventListener('resize', fitStage);
show($('tabs').children[0].dataset.name);
