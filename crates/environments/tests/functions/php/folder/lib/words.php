<?php

function word(): string
{
    return 'main file';
}
