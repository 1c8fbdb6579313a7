from __future__ import annotations

from pathlib import Path

import pytest

from detect_tl.core.errors import DataError, UsageError
from detect_tl.core.geometry import Box
from tests.formats.makers import image, read, text

TENSORFLOW = "filename,width,height,class,xmin,ymin,xmax,ymax"
ROW = "a.jpg,100,80,cat,10,20,30,40"
NAMED = {"image": "file", "label": "species", "x1": "l", "y1": "t", "x2": "r", "y2": "b"}


def table(root: Path, *rows: str, name: str = "labels.csv", encoding: str = "utf-8") -> Path:
    image(root / "a.jpg")
    (root / name).write_bytes("\n".join(rows).encode(encoding))
    return root


def test_the_table_of_tensorflow(tmp_path: Path) -> None:
    result = read(table(tmp_path, TENSORFLOW, ROW, ROW.replace("cat", "ant")))
    first, second = result.dataset.instances()
    assert result.format == "csv"
    assert result.dataset.names == ["ant", "cat"]
    assert (first.category, first.box, dict(first.attributes)) == (1, Box(10, 20, 30, 40), {})
    assert second.category == 0


@pytest.mark.parametrize(
    "rows",
    [
        ['"image","xmin","ymin","xmax","ymax","label"', '"a.jpg",10,20,30,40,"cat"'],  # VoTT
        ["File Name;X1;Y1;X2;Y2;Class", "a.jpg;10;20;30;40;cat"],
        ["image_path\tlabel\tx\ty\twidth\theight", "a.jpg\tcat\t10\t20\t20\t20"],
        ["img|category|cx|cy|w|h", "a.jpg|cat|20|30|20|20"],
        ["/home/me/pictures/a.jpg,10,20,30,40,cat"],  # keras-retinanet
        ["class, xmin, ymin, xmax, ymax, image", "cat, 10, 20, 30, 40, C:\\pictures\\a.jpg"],
        ["image_id,class,left,top,right,bottom", "a,cat,10,20,30,40"],
        ["image_id,width,height,bbox,class", 'a,100,80,"[10.0, 20, 20, 20]",cat'],
        ["", TENSORFLOW, "", ROW, "  ", ""],
    ],
)
def test_tables_that_are_recognised(tmp_path: Path, rows: list[str]) -> None:
    result = read(table(tmp_path, *rows))
    (item,) = result.dataset.instances()
    assert item.box == Box(10, 20, 30, 40)
    assert result.dataset.names == ["cat"]
    assert not result.report.findings


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        (NAMED, ["file,species,l,t,r,b", "a.jpg,cat,10,20,30,40"]),
        (NAMED, ["File,SPECIES,l,t,r,b", "a.jpg,cat,10,20,30,40"]),
        (
            {"image": "f", "label": "s", "x": "p", "y": "q", "w": "u", "h": "v"},
            ["s,f,p,q,u,v", "cat,a.jpg,10,20,20,20"],
        ),
        (
            {"image": "1", "label": "7", "cx": "2", "cy": "3", "w": "4", "h": "5"},
            ["a.jpg,20,30,20,20,nothing,cat"],
        ),
        (
            {**NAMED, "normalized": "true"},
            ["file,species,l,t,r,b", "a.jpg,cat,0.1,0.25,0.3,0.5"],
        ),
    ],
)
def test_columns_that_the_user_names(
    tmp_path: Path, columns: dict[str, str], rows: list[str]
) -> None:
    (item,) = read(table(tmp_path, *rows), columns=columns).dataset.instances()
    assert item.box == pytest.approx((10, 20, 30, 40))


def test_a_text_file_that_is_named_can_be_a_table(tmp_path: Path) -> None:
    rows = ["file species l t r b".replace(" ", "\t"), "a.jpg\tcat\t10\t20\t30\t40"]
    table(tmp_path, *rows, name="list.txt")
    (item,) = read(tmp_path / "list.txt", columns=NAMED).dataset.instances()
    assert item.box == Box(10, 20, 30, 40)


@pytest.mark.parametrize(
    ("columns", "words", "hint"),
    [
        ({**NAMED, "label": "specis"}, "has no column 'specis'; it has file, species", "'species'"),
        ({**NAMED, "lable": "species"}, "no field 'lable'", "Did you mean 'label'?"),
        ({**NAMED, "normalized": "maybe"}, "true or false, not 'maybe'", ""),
        ({"image": "file", "x1": "l"}, "four numbers of a box", "x1,y1,x2,y2, or cx,cy,w,h"),
        ({"x1": "l", "y1": "t", "x2": "r", "y2": "b"}, "image is missing", "file, species"),
        (
            {"image": "1", "x1": "2", "y1": "3", "x2": "4", "y2": "9"},
            "y2=9, but labels.csv has 6 columns",
            "file, species",
        ),
    ],
)
def test_columns_that_do_not_fit(
    tmp_path: Path, columns: dict[str, str], words: str, hint: str
) -> None:
    table(tmp_path, "file,species,l,t,r,b", "a.jpg,cat,10,20,30,40")
    with pytest.raises(UsageError, match=words) as caught:
        read(tmp_path, columns=columns)
    assert hint in caught.value.hint


def test_only_the_tables_that_have_the_columns_are_read(tmp_path: Path) -> None:
    table(tmp_path, "file,species,l,t,r,b", "a.jpg,cat,10,20,30,40")
    table(tmp_path, "a,b", "1,2", name="other.csv")
    result = read(tmp_path, columns=NAMED)
    assert len(list(result.dataset.instances())) == 1
    assert "1 of 2 tables have these columns" in result.explanation


def test_other_columns_are_attributes(tmp_path: Path) -> None:
    header = f"{TENSORFLOW},score,IsCrowd,night,lux,weather"
    rows = [f"{ROW},0.5,1,3,2.5,fog", f"{ROW},,0,,,"]
    first, second = read(table(tmp_path, header, *rows)).dataset.instances()
    assert first.iscrowd
    assert dict(first.attributes) == {"score": 0.5, "night": 3, "lux": 2.5, "weather": "fog"}
    assert (second.iscrowd, dict(second.attributes)) == (False, {})


def test_without_a_class_all_are_objects(tmp_path: Path) -> None:
    columns = {k: v for k, v in NAMED.items() if k != "label"}
    result = read(table(tmp_path, "file,l,t,r,b", "a.jpg,10,20,30,40"), columns=columns)
    assert result.dataset.names == ["object"]
    assert result.report.count("csv.no-label") == 1


def test_splits_by_column_file_or_folder(tmp_path: Path) -> None:
    rows = ["filename,class,xmin,ymin,xmax,ymax,split"]
    rows += [
        f"{n}.jpg,cat,10,20,30,40,{s}" for n, s in [("a", "TEST"), ("b", "valid"), ("b", "train")]
    ]
    image(tmp_path / "one/b.jpg")
    result = read(table(tmp_path / "one", *rows))
    assert [s.split for s in result.dataset.samples] == ["test", "val"]
    assert [f.line for f in result.report.findings if f.code == "split.overlap"] == [4]
    table(tmp_path / "two", TENSORFLOW, ROW, name="train_labels.csv")
    assert [s.split for s in read(tmp_path / "two").dataset.samples] == ["train"]
    table(tmp_path / "three/valid", TENSORFLOW, ROW)
    assert [s.split for s in read(tmp_path / "three").dataset.samples] == ["val"]


def test_a_split_of_another_name_is_said(tmp_path: Path) -> None:
    rows = [f"a.jpg,cat,10,20,30,40,{split}" for split in ("dev", "dev", "")]
    result = read(table(tmp_path, "filename,class,xmin,ymin,xmax,ymax,split", *rows))
    (finding,) = result.report.findings
    assert "2 rows are in 'dev', which is none of train, val, test" in finding.message


@pytest.mark.parametrize("rows", [[TENSORFLOW, "a.jpg,100,80,,,,,"], ["a.jpg,,,,,", "a.jpg,,,,,"]])
def test_a_row_without_class_and_box_is_an_image_without_objects(
    tmp_path: Path, rows: list[str]
) -> None:
    image(tmp_path / "b.jpg")
    result = read(table(tmp_path, *rows))
    assert [(s.image.name, len(s.instances)) for s in result.dataset.samples] == [("a.jpg", 0)]
    assert result.report.lost == {"images-not-listed": 1}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a.jpg,100,80,cat,10,20,30", "it has 7 columns, not 8 or more"),
        ("a.jpg,100,80,cat,10,20,NaN,40", "'NaN' is not a finite number"),
        ('a.jpg,100,80,cat,10,20,"3,5",40', "'3,5' is not a finite number"),
        ("a.jpg,100,80,cat,10,20,,40", "'' is not a finite number"),
        ("a.jpg,100,80,,10,20,30,40", "it has a box but no class"),
        ("a.jpg,100,80,cat,,,,", "it has the class 'cat' but no box"),
        (",100,80,cat,10,20,30,40", "it names no image"),
    ],
)
def test_a_damaged_row_is_named(tmp_path: Path, row: str, words: str) -> None:
    result = read(table(tmp_path, TENSORFLOW, "", ROW, row))
    (finding,) = result.report.of("error")
    assert words in finding.message
    assert (finding.path, finding.line) == (tmp_path / "labels.csv", 4)
    assert result.report.lost == {"objects-unreadable": 1}
    assert len(list(result.dataset.instances())) == 1


@pytest.mark.parametrize("cell", ["[1, 2, 3]", "1 2 3 4 5", "[1, 2, x, 4]"])
def test_a_damaged_box_in_one_cell(tmp_path: Path, cell: str) -> None:
    result = read(
        table(tmp_path, "image;label;bbox", "a.jpg;cat;[1, 2, 3, 4]", f"a.jpg;cat;{cell}")
    )
    assert [f.line for f in result.report.of("error")] == [3]
    assert [i.box for i in result.dataset.instances()] == [Box(1, 2, 4, 6)]


def test_decimal_commas_where_commas_are_free(tmp_path: Path) -> None:
    rows = ["filename;class;xmin;ymin;xmax;ymax", "a.jpg;cat;10,5;20;30,25;40"]
    (item,) = read(table(tmp_path, *rows)).dataset.instances()
    assert item.box == Box(10.5, 20, 30.25, 40)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_encodings_of_spreadsheets(tmp_path: Path, encoding: str) -> None:
    rows = ["filename;größe;class;xmin;ymin;xmax;ymax", "a.jpg;1;Kürbis;10;20;30;40"]
    result = read(table(tmp_path, *rows, encoding=encoding))
    (item,) = result.dataset.instances()
    assert result.dataset.names == ["Kürbis"]
    assert dict(item.attributes) == {"größe": 1}


def test_cells_with_quotes_line_breaks_and_delimiters(tmp_path: Path) -> None:
    rows = [f"{TENSORFLOW},note", f'{ROW},"two\nlines, ""quoted"""', f"{ROW},x", "a.jpg,"]
    result = read(table(tmp_path, *rows))
    first, _ = result.dataset.instances()
    assert dict(first.attributes) == {"note": 'two\nlines, "quoted"'}
    assert [f.line for f in result.report.of("error")] == [5]


def test_the_declared_size_scales(tmp_path: Path) -> None:
    rows = [TENSORFLOW, "a.jpg,200,160,cat,10,20,30,40"]
    (item,) = read(table(tmp_path, *rows)).dataset.instances()
    assert item.box == Box(5, 10, 15, 20)


def test_fractions_are_recognised_unless_denied(tmp_path: Path) -> None:
    rows = ["filename,class,xmin,ymin,xmax,ymax", "a.jpg,cat,0.1,0.25,1,1"]
    result = read(table(tmp_path, *rows))
    (item,) = result.dataset.instances()
    assert item.box == pytest.approx((10, 20, 100, 80))
    assert result.report.changed == {"objects-given-as-fractions": 1}
    columns = {
        "image": "filename",
        **{k: f"{k[0]}{'min' if k[1] == '1' else 'max'}" for k in ("x1", "y1", "x2", "y2")},
    }
    (item,) = read(tmp_path, columns={**columns, "normalized": "false"}).dataset.instances()
    assert item.box == Box(0.1, 0.25, 1, 1)


def test_boxes_of_an_image_may_lie_apart(tmp_path: Path) -> None:
    image(tmp_path / "b.jpg")
    rows = [f"{name}.jpg,c{k},{k},0,9,9,{k}" for k, name in enumerate("abab")]
    result = read(table(tmp_path, "image,label,x1,y1,x2,y2,place", *rows))
    a, b = result.dataset.samples
    assert [i.box.x1 for i in a.instances] == [0, 2]
    assert [i.attributes["place"] for i in b.instances] == [1, 3]
    assert [result.dataset.names[i.category] for i in b.instances] == ["c1", "c3"]


def test_a_table_of_classes_gives_the_order(tmp_path: Path) -> None:
    table(tmp_path, "a.jpg,10,20,30,40,cat", "a.jpg,1,2,3,4,ant")
    text(tmp_path / "classes.csv", "dog,0\ncat,1\nant,2\n")
    assert read(tmp_path).dataset.names == ["cat", "ant"]


def test_a_missing_image_is_said(tmp_path: Path) -> None:
    result = read(table(tmp_path, TENSORFLOW, ROW, ROW.replace("a.jpg", "z.jpg")))
    assert result.report.lost == {"images": 1, "objects-without-image": 1}


def test_a_name_that_leads_out_of_the_folder_leads_nowhere(tmp_path: Path) -> None:
    image(tmp_path / "secret.png")
    folder = tmp_path / "in"
    table(folder, TENSORFLOW, ROW, ROW.replace("a.jpg", "../secret.png"))
    assert read(folder).report.lost == {"images": 1, "objects-without-image": 1}


@pytest.mark.parametrize(
    "header",
    [
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax",
        "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes",
        "filename, label_0, label_1",
        "name,age",
    ],
)
def test_tables_of_others_are_left_alone(tmp_path: Path, header: str) -> None:
    with pytest.raises(DataError, match="name them with --columns"):
        read(table(tmp_path, header, "1,2,3,4"), "csv")


def test_a_cell_without_an_end_is_refused(tmp_path: Path) -> None:
    table(tmp_path, TENSORFLOW, ROW, '"' + "x" * 200_000)
    with pytest.raises(DataError, match="cannot be read as a table") as caught:
        read(tmp_path)
    assert caught.value.line == 3
