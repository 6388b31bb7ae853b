// The viewer: one picture, its objects, and points that say what belongs to one of them.
const viewed = {view: null, focus: null, plain: false};
function openViewer() {
  const one = items[at];
  if (!one || one.view === null || one.view === undefined) return say('There is no picture of it here');
  viewed.view = one.view;
  viewed.focus = one.lost ? null : one.objects.length === 1 || one.track ? one.card.object : null;
  const view = D.views[viewed.view];
  $('v-name').textContent = seen(D.pictures[one.picture].name);
  $('v-name').dir = 'auto';
  $('picture').src = viewed.plain ? view.plain : view.file;
  if (!$('viewer').open) $('viewer').showModal();
  fitStage();
  showObjects();
}
function fitStage() {
  if (viewed.view === null) return;
  const [h, w] = D.views[viewed.view].hw, room = $('stage').parentElement.getBoundingClientRect();
  const factor = Math.min((room.width - 24) / w, (room.height - 24) / h);
  $('stage').style.width = `${Math.floor(w * factor)}px`;
  $('stage').style.height = `${Math.floor(h * factor)}px`;
}
function showObjects() {
  const view = D.views[viewed.view], one = items[at];
  const rows = view.objects.map((object) => {
    const o = D.objects[object], [name, words] = mark(keyOf(object));
    const row = button('', '', () => { viewed.focus = object; showObjects(); });
    row.append(chip(object), text(`${classOf(object) || 'no class'} #${o.number}`), make('span', 'facts', figure(o.score)), make('span', 'mark', words));
    row.className = [name, object === viewed.focus ? 'on' : ''].join(' ').trim();
    return make('li', '', row);
  });
  $('v-objects').replaceChildren(...rows);
  const o = viewed.focus === null ? null : D.objects[viewed.focus];
  const said = o ? [facts(o), o.frame !== null && `frame ${o.frame}`, o.source].filter(Boolean).join('  \u00b7  ') : '';
  $('v-about').textContent = seen(o ? said : one && one.lost ? one.lost.why : 'No object is chosen: click one.');
  $('v-class').value = o ? classOf(viewed.focus) : one && one.lost ? decided(one.keys[0]).class || one.lost.class : '';
  $('v-actions').hidden = !o && !(one && one.lost && one.keys.length);
  $('v-masks').textContent = viewed.plain ? 'Masks on' : 'Masks off';
  paint();
}

// The edge of the object's mask, and its points.
function paint() {
  const view = D.views[viewed.view], canvas = $('marks'), [h, w] = view.hw, pen = canvas.getContext('2d');
  canvas.width = w; canvas.height = h;
  if (viewed.focus === null) return;
  const place = view.objects.indexOf(viewed.focus);
  if (place >= 0 && view.masks[place]) {
    const bits = mask(viewed.view, place), image = pen.createImageData(w, h);
    for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) {
      const i = y * w + x;
      if (bits[i] && (!x || !y || x === w - 1 || y === h - 1 || !bits[i - 1] || !bits[i + 1] || !bits[i - w] || !bits[i + w])) image.data.set([255, 255, 255, 255], 4 * i);
    }
    pen.putImageData(image, 0, 0);
  }
  const [x0, y0, x1, y1] = view.window;
  for (const [x, y, sign] of decided(keyOf(viewed.focus)).points || []) {
    pen.beginPath();
    pen.arc((x - x0) / (x1 - x0) * w, (y - y0) / (y1 - y0) * h, 5, 0, 7);
    pen.fillStyle = sign > 0 ? '#25c05a' : '#e33';
    pen.strokeStyle = '#fff';
    pen.lineWidth = 2;
    pen.fill();
    pen.stroke();
  }
}
function clicked(event, sign) {
  event.preventDefault();
  if (items[at].lost || viewed.view === null) return;
  const box = $('stage').getBoundingClientRect(), [x0, y0, x1, y1] = D.views[viewed.view].window;
  const round = (value, low, high) => Math.min(high - 0.01, Math.max(low, Math.round(value * 100) / 100));
  const x = round(x0 + (event.clientX - box.left) / box.width * (x1 - x0), x0, x1);
  const y = round(y0 + (event.clientY - box.top) / box.height * (y1 - y0), y0, y1);
  if (viewed.focus === null) {
    viewed.focus = objectAt(viewed.view, x, y);
    if (viewed.focus === null) say('No object is here');
    return showObjects();
  }
  if (D.objects[viewed.focus].track !== null) return say('Objects of films are accepted, rejected or relabelled: points are not followed.');
  if (!D.clicks) return say('The segmenter of this run cannot be asked with points; SAM 2 can.');
  const key = keyOf(viewed.focus);
  decide([[key, lineOf(viewed.focus), {verdict: null, points: [...(decided(key).points || []), [x, y, sign]]}]]);
}
function nextObject(step) {
  const all = D.views[viewed.view].objects;
  if (!all.length) return;
  viewed.focus = all[(all.indexOf(viewed.focus) + step + all.length) % all.length];
  showObjects();
}
function move(step) {
  const to = Math.max(0, Math.min(items.length - 1, at + step));
  if (to === at || !items[to]) return;
  choose(items[to]);
  if ($('viewer').open) { if (items[to].view === null) $('viewer').close(); else openViewer(); }
}
function toggleMasks() {
  viewed.plain = !viewed.plain;
  $('picture').src = D.views[viewed.view][viewed.plain ? 'plain' : 'file'];
  showObjects();
}
