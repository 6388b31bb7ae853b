// Galleries: their cards, filtered and sorted.
const GALLERIES = [
  ['check', 'Check first', 'Doubtful objects, unlike each other, of all classes in turn: the best use of a few minutes.'],
  ['worst', 'Worst first', 'The worst objects of the run by each measure in turn; each card says by which.'],
  ['random', 'Random', 'Pictures drawn by lot: how good the run is on the whole. Accept says that everything in the picture is right.'],
  ['classes', 'By class', 'A few objects of each class, drawn by lot.'],
  ['duplicates', 'Duplicates', 'What went because it is the same as something else: on the left what went, on the right what stayed.'],
  ['dropped', 'Dropped', 'Objects that did not reach the dataset, those nearest to the threshold first. Accept puts one into the dataset.'],
  ['films', 'Films', 'Films with their masks, and when each object is in sight. A click on a line goes there.'],
  ['figures', 'Figures', 'Every picture and every object of the run is in these figures.'],
];
const COLORS = ['#e6194b', '#3cb44b', '#ffe119', '#4363d8', '#f58231', '#911eb4', '#42d4f4', '#f032e6', '#bfef45', '#fabed4', '#469990', '#dcbeff'];
const colorOf = (object) => COLORS[(D.objects[object].number - 1) % COLORS.length];
function chip(object) { const one = make('span', 'chip'); one.style.background = colorOf(object); return one; }
const figure = (value) => (value === null || value === undefined ? '' : value.toFixed(2));
const facts = (o) => [['score', o.score], ['mask', o.quality], ['box', o.agreement]].filter(([, value]) => figure(value))
  .map(([name, value]) => `${name} ${figure(value)}`).concat(o.looks_like ? ['looks like ' + o.looks_like] : []).join('  \u00b7  ');

let gallery = '', items = [], at = -1;
const objectsOf = (card) => (card.lost ? [] : card.object !== null && card.object !== undefined ? [card.object] : card.view === null ? [] : D.views[card.view].objects);

// Filters: what a card or track has to have.
const number = (id, otherwise) => ($(id).value === '' ? otherwise : Number($(id).value));
function passes(one) {
  const score = [number('f-score-from', -1), number('f-score-to', 2)], quality = [number('f-quality-from', -1), number('f-quality-to', 2)];
  const asked = $('f-class').value || score[0] > -1 || score[1] < 2 || quality[0] > -1 || quality[1] < 2;
  const inside = (value, [low, high]) => (value === null || value === undefined ? low < 0 && high > 1 : value >= low && value <= high);
  const fits = (o, name) => (!$('f-class').value || name === $('f-class').value) && inside(o.score, score) && inside(o.quality, quality);
  const some = one.lost ? fits(one.lost, one.lost.class) : one.objects.some((object) => fits(D.objects[object], classOf(object)));
  if (asked && !some) return false;
  const kind = $('f-kind').value, done = one.keys.some((key) => decisions.has(key));
  if (kind === 'picture' || kind === 'film') { if (D.pictures[one.picture].film !== (kind === 'film')) return false; }
  else if (kind === 'open' || kind === 'done') { if (done !== (kind === 'done')) return false; }
  else if (kind && !one.why.includes(kind)) return false;
  const wanted = $('f-text').value.trim().toLowerCase();
  return !wanted || one.words.toLowerCase().includes(wanted);
}
const SORTS = {
  '': ['as the gallery has it', null],
  doubt: ['most doubtful first', (o) => -o.doubt],
  score: ['lowest score first', (o) => o.score ?? 2],
  quality: ['lowest mask quality first', (o) => o.quality ?? 2],
  agreement: ['box and mask agree least first', (o) => o.agreement ?? 2],
  small: ['smallest first', (o) => (o.box ? (o.box[2] - o.box[0]) * (o.box[3] - o.box[1]) : Infinity)],
  large: ['largest first', (o) => (o.box ? -(o.box[2] - o.box[0]) * (o.box[3] - o.box[1]) : Infinity)],
  class: ['by class', (o) => o.class || ''],
  name: ['by file', (o, one) => D.pictures[one.picture].name],
};
function sorted(list) {
  const by = SORTS[$('f-sort').value][1];
  if (!by) return list;
  const value = (one) => {
    const all = one.lost ? [one.lost] : one.objects.map((object) => D.objects[object]);
    const values = (all.length ? all : [{}]).map((o) => by(o, one));
    return values.reduce((a, b) => (b < a ? b : a));
  };
  return list.map((one) => [value(one), one]).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, one]) => one);
}

// A card as the page handles it: its keys, its words, how it is shown.
function item(card) {
  const objects = objectsOf(card), {lost, why = []} = card;
  const keys = lost ? (lost.class && !D.pictures[card.picture].film ? [keyOfLost(card)] : []) : [...new Set(objects.map(keyOf))];
  const words = [D.pictures[card.picture].name, ...why, ...(lost ? [lost.class || '', lost.why, lost.name || ''] : objects.map((o) => D.objects[o].class))].join('\n');
  return {card, lost, objects, keys, why, words, picture: card.picture, view: card.view};
}
function shot(view, focus, caption) {
  const outer = make('figure', 'shot'), {hw: [h, w], file, window: [x0, y0, x1, y1]} = D.views[view];
  const fit = make('div', 'fit'), img = make('img');
  img.loading = 'lazy'; img.decoding = 'async'; img.width = w; img.height = h; img.alt = ''; img.src = file;
  fit.style.aspectRatio = `${w} / ${h}`;
  fit.append(img);
  if (focus) {
    const svg = drawn('svg', {viewBox: `${x0} ${y0} ${x1 - x0} ${y1 - y0}`, preserveAspectRatio: 'xMidYMid meet'});
    for (const name of ['under', '']) svg.append(drawn('rect', {x: focus[0], y: focus[1], width: focus[2] - focus[0], height: focus[3] - focus[1], class: name}));
    fit.append(svg);
  }
  outer.append(fit);
  if (caption) { const said = make('figcaption', '', caption); said.dir = 'auto'; outer.append(said); }
  return outer;
}
function cardOf(one) {
  const {card, lost} = one, single = !lost && one.objects.length === 1 && card.object !== null ? D.objects[card.object] : null;
  const element = make('article', card.beside === undefined ? 'card' : 'card two'), shots = make('div', 'shots'), body = make('div', 'body');
  if (card.view === null || card.view === undefined) shots.append(make('div', 'gone', card.trouble || 'It cannot be shown.'));
  else {
    const box = single ? single.box : null;
    shots.append(shot(card.view, box, card.beside === undefined ? '' : 'went: ' + (lost.class || lost.name)));
    if (card.beside !== undefined) shots.append(shot(card.beside, null, 'stayed: ' + card.kept));
  }
  const head = make('div', 'head', text(single ? single.class || 'no class' : lost ? lost.class || 'file' : `${one.objects.length} objects`), make('span', 'mark'));
  body.append(head);
  const o = single || lost;
  if (o) {
    if (lost) body.append(make('p', 'facts', lost.why));
    body.append(make('p', 'facts', facts(o)));
  }
  if (one.why.length) body.append(make('div', 'why', ...one.why.map((why) => make('span', '', why))));
  const frame = o && o.frame !== null && o.frame !== undefined ? `, frame ${o.frame}` : '';
  const file = make('p', 'file', (lost && lost.name ? lost.name : D.pictures[one.picture].name) + frame);
  file.dir = 'auto';
  body.append(file);
  if (one.keys.length) {
    const words = lost ? ['Add it', 'Right so'] : single ? ['Accept', 'Reject'] : ['Accept all', null];
    body.append(make('div', 'row', button(words[0], 'a', () => { choose(one); accept(); }), words[1] && button(words[1], 'r', () => { choose(one); reject(); })));
  }
  element.append(shots, body);
  shots.addEventListener('click', () => { choose(one); openViewer(); });
  element.addEventListener('click', () => choose(one));
  one.element = element;
  return element;
}
function marked(one) {
  const marks = one.keys.map(mark).filter(([name]) => name), all = marks.length === one.keys.length && marks.length;
  one.element.classList.remove('accepted', 'rejected', 'changed');
  const told = one.element.querySelector('.mark');
  if (!told) return;
  if (one.keys.length === 1 && all) { one.element.classList.add(marks[0][0]); told.textContent = seen(marks[0][1]); }
  else { told.textContent = marks.length ? `${marks.length} of ${one.keys.length} decided` : ''; if (all) one.element.classList.add(marks.every(([n]) => n === 'accepted') ? 'accepted' : 'changed'); }
}

function show(name) {
  gallery = name;
  for (const tab of $('tabs').children) tab.setAttribute('aria-selected', String(tab.dataset.name === name));
  $('about').textContent = GALLERIES.find(([key]) => key === name)[2];
  $('figures').hidden = name !== 'figures';
  $('gallery').hidden = name === 'figures';
  $('filters').hidden = name === 'figures';
  fill();
}
function fill() {
  const place = $('gallery');
  place.replaceChildren();
  items = []; at = -1;
  if (gallery === 'films') items = showFilms(place);
  else if (gallery !== 'figures') {
    items = sorted(D.cards.filter((card) => card.gallery === gallery).map(item).filter(passes));
    let last = null;
    for (const one of items) {
      if (gallery === 'classes' && !$('f-sort').value) {
        const name = D.objects[one.card.object].class;
        if (name !== last) place.append(make('h3', '', (last = name) || 'no class'));
      }
      place.append(cardOf(one));
    }
  }
  if (!items.length && gallery !== 'figures') place.append(make('p', 'empty', D.cards.some((c) => c.gallery === gallery) || gallery === 'films' ? 'Nothing here fits the filters.' : 'There is nothing here.'));
  if (items.length) choose(items[0], false);
  refresh();
}
function choose(one, scroll = true) {
  if (items[at]) items[at].element.classList.remove('on');
  at = items.indexOf(one);
  if (!one) return;
  one.element.classList.add('on');
  if (scroll) one.element.scrollIntoView({block: 'nearest'});
}
function refresh() {
  for (const one of items) marked(one);
  const count = lines().length;
  $('count').textContent = count ? `${count} correction${count > 1 ? 's' : ''}` : '';
  $('undo').disabled = !history.length;
  if ($('viewer').open) showObjects();
}

// Decisions on what is chosen: in the viewer one object, in a gallery a card.
function chosen() {
  const one = items[at];
  if (!one) return [];
  if ($('viewer').open && viewed.focus !== null) return [[keyOf(viewed.focus), lineOf(viewed.focus)]];
  if (one.lost) return one.keys.length ? [[keyOfLost(one.card), lineOfLost(one.card)]] : [];
  return one.keys.map((key) => [key, lineOf(one.objects.find((object) => keyOf(object) === key))]);
}
function accept() {
  const on = chosen();
  if (!on.length) return say('Nothing to accept here');
  decide(on.map(([key, line]) => [key, line, {verdict: 'accept'}]));
  after();
}
function reject() {
  const on = chosen();
  if (on.length !== 1) return say(on.length ? 'Open the picture (Enter) and choose an object' : 'Nothing to reject here');
  decide(on.map(([key, line]) => [key, line, {verdict: 'reject'}]));
  after();
}
function relabel(name) {
  const on = chosen();
  if (on.length !== 1 || name === undefined) return say('Choose one object first');
  const [key, line] = on[0];
  decide([[key, line, {class: name === (line.do ? line.class : line.class_was) ? null : name, verdict: line.do ? 'accept' : null}]]);
  say(seen(name));
}
function after() { if (!$('viewer').open && at < items.length - 1) choose(items[at + 1]); }
