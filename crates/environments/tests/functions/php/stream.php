<?php

function handler($context)
{
    yield 'first';
    usleep(300000);
    yield 'second';
}
