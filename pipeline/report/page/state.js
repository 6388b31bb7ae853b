// What the page knows, and what people have decided. Text only ever becomes text: no markup is made of it.
const D = JSON.parse(document.getElementById('data').textContent);
const $ = (id) => document.getElementById(id);
const UNSEEN = /[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const seen = (text) => String(text).replace(UNSEEN, (c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'));

// An element with a class, text, and children.
function make(tag, name = '', ...inside) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  for (const one of inside) if (one !== null && one !== undefined) element.append(one instanceof Node ? one : seen(one));
  return element;
}
const text = (said) => { const one = make('span', 'text', said); one.dir = 'auto'; return one; };
function button(words, title, act) {
  const one = make('button', '', words);
  one.type = 'button';
  one.title = title;
  one.addEventListener('click', (event) => { event.stopPropagation(); act(event); });
  return one;
}
function drawn(tag, attributes) {
  const one = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) one.setAttribute(name, value);
  return one;
}
function say(words) {
  $('live').textContent = seen(words);
  $('live').classList.add('on');
  clearTimeout(say.later);
  say.later = setTimeout(() => $('live').classList.remove('on'), 1800);
}

// The nine classes that have a key: all, where there are no more; else the most frequent here.
const HOT = (() => {
  if (D.classes.length <= 9) return D.classes;
  const times = new Map();
  for (const one of D.objects) times.set(one.class, (times.get(one.class) || 0) + 1);
  return [...D.classes].sort((a, b) => (times.get(b) || 0) - (times.get(a) || 0)).slice(0, 9);
})();

// Decisions, under the key of an object, or of something that went: {verdict, class, points, at, line}, where `line` is
// what the file says of it in any case. They belong to the run as it stands, whatever this page shows of it.
const PLACE = 'masklet-report:' + D.run.id;
let decisions = new Map(), history = [], begun = '';
function load() {
  try {
    const kept = JSON.parse(localStorage.getItem(PLACE) || 'null');
    if (kept && kept.version === 1) { decisions = new Map(kept.decisions); ({history, begun} = kept); }
    $('by').value = localStorage.getItem('masklet-report:by') || '';
  } catch (error) { say('This browser keeps nothing: download before you leave.'); }
}
function keep() {
  try { localStorage.setItem(PLACE, JSON.stringify({version: 1, decisions: [...decisions], history, begun})); }
  catch (error) { say('This browser keeps nothing: download before you leave.'); }
}
function keyOf(object) {
  const o = D.objects[object];
  return `${D.pictures[o.picture].id}/${o.track === null ? o.uid : 'track ' + o.track}`;
}
const keyOfLost = ({picture, lost}) => `${D.pictures[picture].id}/lost/${lost.stage}/${lost.class}/${lost.box.join()}`;
const decided = (key) => decisions.get(key) || {};
const classOf = (object) => decided(keyOf(object)).class || D.objects[object].class;
const pictureLine = (picture) => ({version: 1, picture: D.pictures[picture].id, name: D.pictures[picture].name});
function lineOf(object) {
  const o = D.objects[object];
  return {...pictureLine(o.picture), uid: o.uid, class_was: o.class, box_was: o.box,
    ...(o.track !== null && {track: o.track, frame: o.frame})};
}
function lineOfLost({picture, lost}) {
  return {...pictureLine(picture), do: 'add', class: lost.class, ...(lost.mask ? {mask: lost.mask} : {box: lost.box})};
}

// Change some decisions, [key, line, change] each, in one step, which one 'undo' takes back.
function decide(changes) {
  const step = [], at = new Date().toISOString();
  for (const [key, line, change] of changes) {
    step.push([key, decisions.get(key) || null]);
    const after = {...decided(key), ...change, line, at};
    if (after.verdict || after.class || (after.points || []).length) decisions.set(key, after); else decisions.delete(key);
  }
  begun = begun || at;
  history.push(step);
  keep();
  refresh();
}
function undo() {
  const step = history.pop();
  if (!step) return say('Nothing to undo');
  for (const [key, before] of step) if (before) decisions.set(key, before); else decisions.delete(key);
  keep();
  refresh();
  say('Undone');
}
function mark(key) {
  const one = decided(key), points = (one.points || []).length;
  if (one.verdict === 'reject') return ['rejected', 'rejected'];
  const said = [one.class && '\u2192 ' + one.class, points && `${points} point${points > 1 ? 's' : ''}`].filter(Boolean);
  if (said.length) return ['changed', said.join(', ')];
  return one.verdict ? ['accepted', one.line.do ? 'to be added' : 'accepted'] : ['', ''];
}

// The file: a line a decision, as the next run reads it.
function lines() {
  const out = [], by = $('by').value.trim();
  for (const one of decisions.values()) {
    const more = {...(by && {by}), at: one.at}, before = out.length;
    if (one.line.do) { if (one.verdict === 'accept') out.push({...one.line, ...(one.class && {class: one.class}), ...more}); continue; }
    if (one.verdict === 'reject') { out.push({...one.line, do: 'reject', ...more}); continue; }
    if (one.class) out.push({...one.line, do: 'relabel', class: one.class, ...more});
    if ((one.points || []).length) out.push({...one.line, do: 'points', points: one.points, ...more});
    if (out.length === before) out.push({...one.line, do: 'accept', ...more});
  }
  return out.map((line) => JSON.stringify(line) + '\n');
}

// One name for all downloads of a run as it stands: a later file takes the place of an earlier one, or is read after it
// where the browser numbers it; and what was begun later, on this run or another, is read later.
const fileName = () => `corrections-${begun.slice(0, 19).replace(/\D/g, '')}-${D.run.name.replace(/[^\w.-]+/g, '_').slice(0, 60) || 'run'}.jsonl`;
function download() {
  const all = lines();
  if (!all.length) return say('No corrections yet');
  const link = make('a');
  link.href = URL.createObjectURL(new Blob(all, {type: 'application/jsonl'}));
  link.download = fileName();
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  say(`${all.length} line${all.length > 1 ? 's' : ''} downloaded`);
  $('help').showModal();
}
