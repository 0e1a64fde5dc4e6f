<!doctype html>
<title>A page</title>
<p>Hello, <?= htmlspecialchars($_GET['name'] ?? 'world') ?>!</p>
