// Reads a JSON array of Kubernetes objects and writes a JSON array of what is wrong with them, by the schemas of Kubernetes 1.27
// (the package kubernetes-models). `null` for an object of a kind that the package does not know.
'use strict';

// The schemas allow members that they do not know, and a misspelled one is the most common mistake. A validator reads
// each member that it knows; what it did not read is unknown.
function watched(value, path, read) {
  if (typeof value !== 'object' || value === null) return value;
  read.set(path, { names: Object.keys(value), seen: new Set() });
  const members = new Map();
  return new Proxy(value, {
    get(target, name) {
      if (typeof name === 'symbol' || !Object.hasOwn(target, name) || (Array.isArray(target) && name === 'length')) return target[name];
      read.get(path).seen.add(name);
      if (!members.has(name)) members.set(name, watched(target[name], `${path}/${name}`, read));
      return members.get(name);
    },
  });
}

function problems(object) {
  let model;
  try {
    model = require(`kubernetes-models/${object.apiVersion}/${object.kind}`)[object.kind];
  } catch (error) {
    if (/^(MODULE_NOT_FOUND|ERR_PACKAGE_PATH_NOT_EXPORTED)$/.test(error.code)) return null;
    throw error;
  }
  const read = new Map();
  const said = [];
  try {
    model.prototype.validate.call(watched(object, '', read));
  } catch (error) {
    said.push(error.message);
  }
  for (const [path, { names, seen }] of read) {
    for (const name of names) {
      if (!seen.has(name)) said.push(`${path}/${name} is unknown`);
    }
  }
  return said;
}

const objects = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));
process.stdout.write(JSON.stringify(objects.map(problems)));
