// Thresholds and verdicts: the same rules as in Python (dfsc/inference/threshold.py, dfsc/report/operating_points.py).
"use strict";

// The threshold that promises a false-alarm rate, in thousandths, from validation scores in ascending order: the
// ceil((n + 1)(1 - rate))-th smallest, and above it by what rounding may change. Null where so few cannot promise it.
page.threshold = (validation, rate) => {
  const rank = Math.ceil(((validation.length + 1) * (1000 - rate)) / 1000); // whole numbers before the division: exact
  if (!validation.length || rank > validation.length) return null;
  const score = validation[rank - 1];
  return score + page.facts.rounding * Math.max(Math.abs(score), page.facts.smallest_score);
};

// A run's verdicts: null if there is no run or no threshold, else whether each image is judged right.
page.right = (data, key, rate) => {
  const run = data.runs[key];
  const threshold = run ? page.threshold(run.validation, rate) : null;
  if (threshold === null) return null;
  return data.images.map((image, place) => run.scores[place] > threshold === (image.folder !== "good"));
};

// Why there is no verdict, or an empty text.
page.whyNone = (run, rate) => {
  if (!run) return "no run";
  if (!run.validation.length) return page.facts.not_measured;
  return page.threshold(run.validation, rate) === null ? `not promised: ${run.validation.length} images` : "";
};

// The seeds that count: those of which each of the categories has a run of each of the methods.
page.seedsOf = (datas, methods, chosen = "all") => {
  const seeds = page.facts.seeds.filter((seed) => chosen === "all" || String(seed) === chosen);
  return seeds.filter((seed) => datas.every((data) => methods.every((name) => page.key(name, seed) in data.runs)));
};

// Of images that `fits` chooses in all `datas`: a method's wrong verdicts, by seed. Null where a threshold is lacking.
page.wrongCounts = (datas, name, rate, fits, chosen) => {
  const seeds = page.seedsOf(datas, [name], chosen);
  const counted = page.method(name).seeded ? seeds : seeds.slice(0, 1);
  const verdicts = counted.map((seed) => page.verdictsOf(datas, name, seed, rate, fits));
  if (!verdicts.length || verdicts.includes(null)) return null;
  return verdicts.map((right) => right.filter((one) => !one).length);
};

page.verdictsOf = (datas, name, seed, rate, fits) => {
  const parts = datas.map((data) =>
    page.right(data, page.key(name, seed), rate)?.filter((_, place) => fits(data.images[place])),
  );
  return parts.includes(undefined) ? null : parts.flat();
};

// The images that a judges right with more, and with fewer, of the seeds than b; and the sign test's p. Null as above.
page.versus = (datas, a, b, rate, fits, chosen) => {
  const seeds = page.seedsOf(datas, [a, b], chosen);
  const [ofA, ofB] = [a, b].map((name) => seeds.map((seed) => page.verdictsOf(datas, name, seed, rate, fits)));
  if (!seeds.length || ofA.includes(null) || ofB.includes(null)) return null;
  let [better, worse] = [0, 0];
  for (let place = 0; place < ofA[0].length; place += 1) {
    const more = seeds.reduce((sum, _, seed) => sum + ofA[seed][place] - ofB[seed][place], 0);
    if (more > 0) better += 1;
    if (more < 0) worse += 1;
  }
  return { better, worse, p: page.signTest(better, worse) };
};

// Exact two-sided binomial test of better against worse at one half; sums run over logarithms, as 2^-n underflows.
page.signTest = (better, worse) => {
  const n = better + worse;
  if (!n) return 1;
  let [log, sum] = [-n * Math.LN2, 0];
  for (let k = 0; k <= Math.min(better, worse); k += 1) {
    sum += Math.exp(log);
    log += Math.log(n - k) - Math.log(k + 1);
  }
  return Math.min(1, 2 * sum);
};
