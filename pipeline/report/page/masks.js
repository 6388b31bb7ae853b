// Masks: COCO's run-length codes, column by column, 5 bits a character.
function runs(code) {
  const out = [];
  for (let at = 0; at < code.length;) {
    let value = 0, place = 0, more = true;
    while (more) {
      const digit = code.charCodeAt(at++) - 48;
      value |= (digit & 31) << (5 * place++);
      more = (digit & 32) !== 0;
      if (!more && (digit & 16)) value |= -1 << (5 * place);
    }
    out.push(out.length > 2 ? value + out[out.length - 2] : value);
  }
  return out;
}

// One byte a pixel, row by row, 1 on the object; made when it is first asked for.
const decodedMasks = new Map();
function mask(view, place) {
  const name = `${view}/${place}`, {hw: [h, w], masks} = D.views[view];
  if (!decodedMasks.has(name)) {
    const bits = new Uint8Array(h * w);
    let at = 0, inside = false;
    for (const run of masks[place] ? runs(masks[place]) : []) {
      if (inside) for (let i = at; i < at + run; i++) bits[(i % h) * w + Math.floor(i / h)] = 1;
      at += run;
      inside = !inside;
    }
    if (decodedMasks.size > 200) decodedMasks.clear();
    decodedMasks.set(name, bits);
  }
  return decodedMasks.get(name);
}

// The smallest object whose mask, or box where it has none, has a point of the picture; null where none has.
function objectAt(view, x, y) {
  const {hw: [h, w], window: [x0, y0, x1, y1], objects, masks} = D.views[view];
  const column = Math.min(w - 1, Math.floor((x - x0) / (x1 - x0) * w)), row = Math.min(h - 1, Math.floor((y - y0) / (y1 - y0) * h));
  let best = null, least = Infinity;
  objects.forEach((object, place) => {
    const box = D.objects[object].box, area = (box[2] - box[0]) * (box[3] - box[1]);
    const on = masks[place] ? mask(view, place)[row * w + column] : x >= box[0] && x < box[2] && y >= box[1] && y < box[3];
    if (on && area < least) { best = object; least = area; }
  });
  return best;
}
