(function () {
  var form = document.getElementById('form');
  var password = document.getElementById('password');
  var confirm = document.getElementById('confirm');
  var match = document.getElementById('match');
  var show = document.getElementById('show');
  document.getElementById('reveal').hidden = false;
  show.addEventListener('change', function () {
    password.type = confirm.type = show.checked ? 'text' : 'password';
  });
  function compare() {
    var differ = confirm.value !== '' && confirm.value !== password.value;
    match.hidden = !differ;
    if (differ) confirm.setAttribute('aria-invalid', 'true');
    else confirm.removeAttribute('aria-invalid');
    return !differ;
  }
  confirm.addEventListener('blur', compare);
  confirm.addEventListener('input', function () { if (!match.hidden) compare(); });
  form.addEventListener('submit', function (event) {
    if (compare()) return;
    event.preventDefault();
    confirm.focus();
  });
})();
