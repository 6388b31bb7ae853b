// Films: a player with masks, and a line a track; both show the same time.
function showFilms(place) {
  const rows = [];
  for (const film of D.films) {
    const own = film.tracks.map((track) => trackItem(film, track)).filter(passes);
    if (film.tracks.length && !own.length) continue;
    const box = make('article', 'film'), video = make('video'), title = make('h2', '', D.pictures[film.picture].name), tracks = make('div', 'tracks');
    title.dir = 'auto';
    video.controls = true; video.muted = true; video.loop = true; video.playsInline = true; video.preload = 'metadata'; video.src = film.file;
    const lines = sorted(own).map((one) => { tracks.append(trackRow(one, film, video)); rows.push(one); return one; });
    const span = spanOf(film);
    const now = () => lines.forEach((one) => one.now.setAttribute('x', String(Math.min(video.currentTime, span))));
    video.addEventListener('timeupdate', now);
    video.addEventListener('seeked', now);
    if (!film.tracks.length) tracks.append(make('p', 'about', 'No object was followed.'));
    box.append(title, video, tracks);
    place.append(box);
  }
  return rows;
}
function spanOf(film) {
  const times = film.times, step = times.length > 1 ? times[times.length - 1] - times[times.length - 2] : 1 / 24;
  return times[times.length - 1] + step;
}
function trackItem(film, track) {
  const card = D.cards.find((one) => one.object !== null && one.object !== undefined && !one.lost && keyOf(one.object) === keyOf(track.object));
  const objects = [track.object], name = D.objects[track.object].class;
  return {card: card || {picture: film.picture, object: track.object, view: null}, track, objects, keys: [keyOf(track.object)], why: card ? card.why || [] : [], words: D.pictures[film.picture].name + '\n' + name, picture: film.picture, view: card ? card.view : null};
}
function trackRow(one, film, video) {
  const {track} = one, o = D.objects[track.object], span = spanOf(film), times = [...film.times, span];
  const label = make('span', '', chip(track.object), text(`${o.class || 'no class'} #${o.track}`), ' ', make('span', 'mark'));
  const svg = drawn('svg', {viewBox: `0 0 ${span} 10`, preserveAspectRatio: 'none', role: 'img'});
  for (const [from, to] of track.sight) {
    const bar = drawn('rect', {x: times[from], y: 2, width: Math.max(times[to] - times[from], span / 400), height: 6, fill: colorOf(track.object)});
    const title = drawn('title', {});
    title.textContent = `in sight from frame ${from} to ${to - 1}`;
    bar.append(title);
    svg.append(bar);
  }
  one.now = drawn('rect', {x: 0, y: 0, width: span / 300, height: 10, class: 'now'});
  svg.append(one.now);
  svg.addEventListener('click', (event) => {
    const box = svg.getBoundingClientRect();
    video.currentTime = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)) * span;
  });
  const row = make('div', 'card track', label, svg, make('div', 'row',
    button('Accept', 'a', () => { choose(one); accept(); }), button('Reject', 'r', () => { choose(one); reject(); })));
  row.addEventListener('click', () => choose(one, false));
  one.element = row;
  return row;
}
