<?php

function handler($context)
{
}

class Half implements Countable
{
}
