/* What mkdocs' scripts expect to find: where the site begins, and the keys for help, next, previous and search (?, n, p, s). */
var base_url = document.currentScript.dataset.base;
var shortcuts = { help: 191, next: 78, previous: 80, search: 83 };
